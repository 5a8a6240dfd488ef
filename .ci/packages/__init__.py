"""What `.ci/build` makes out of the wheel: the single file and the .deb, each byte for byte the same for the same commit."""
