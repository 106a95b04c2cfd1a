"""Reports: exports of whole lists, and monthly statements."""
