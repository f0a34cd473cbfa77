"""What the live model said, joined with what came: reports and metrics of a running application."""
