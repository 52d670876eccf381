"""Teachers: whatever a recipe names as one, and the training of a KStyleGAN of one's own."""
