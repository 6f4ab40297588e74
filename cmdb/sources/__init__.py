"""Where rows of cmdb come from besides scanners: files that people bring. They give dataclasses and know no row."""
