"""The measures, one file each; every one starts nothing it was not handed, but its own short-lived processes."""
