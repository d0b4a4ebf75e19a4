"""KT-MGFN: detection learned from the classes of whole videos."""
