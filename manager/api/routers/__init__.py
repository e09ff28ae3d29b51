"""One module a resource of Docker's API. Endpoints read the picture, admit wishes, and answer; they decide nothing."""
