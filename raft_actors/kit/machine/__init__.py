"""What every replica does with the commands of a kit: one module for each kind of object."""
