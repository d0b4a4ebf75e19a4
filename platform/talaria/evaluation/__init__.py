"""The judge: tIoU, average mAP, AR@AN, top-k, suppression and the official files. Pure numpy, float64."""
