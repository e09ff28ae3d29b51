"""The manager's objects as Docker's documents. Pure; one module an object."""
