"""What every training shares: batches, losses, the loop's parts."""
