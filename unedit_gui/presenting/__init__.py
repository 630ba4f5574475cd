"""What a presentation is made of, as files: presets (where to begin), recordings (what was said, at its pace)."""
