"""What the linear models and the perceptrons share; nothing in it is public."""
