"""What operators send and see."""
