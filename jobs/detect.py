"""Detect actions in video files with everything that a finished run has learned; Ray is not needed."""

import _bootstrap


def main() -> int:
    import argparse
    from pathlib import Path

    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="example:\n  python jobs/detect.py holiday.mp4 match.webm --run runs/demo --out found",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "videos", nargs="+", type=Path, metavar="VIDEO", help="any container that FFmpeg knows"
    )
    parser.add_argument("--run", required=True, type=Path, help="folder of a finished run, such as runs/demo")
    parser.add_argument(
        "--out", type=Path, help="folder for detections.json, replaced by each call; default RUN/detect"
    )
    arguments = parser.parse_args()

    from talaria.errors import DataError
    from talaria.log import BOARD, LOGGER, console, setup_console
    from talaria.pipeline.detect import RunDetector, write_results
    from talaria.report.tables import detections_table

    setup_console()
    run = arguments.run.resolve()
    detector = RunDetector(run)
    with BOARD.step("videos", len(arguments.videos)) as step:
        detected = detector.detect_all(arguments.videos, step.advance)
    for note in detected.notes:
        LOGGER.info("note: %s", note)
    if detected.results:
        out = write_results((arguments.out or run / "detect").resolve(), detected.results)
        console.print(detections_table(detected.results))
        console.print(f"detections: {out}")
    if detected.problems:
        raise DataError(detected.problems)
    return 0


if __name__ == "__main__":
    _bootstrap.run(main)
