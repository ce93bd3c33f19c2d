"""Named so that no package of this name, which a dependency brings along, is taken for these tests."""
