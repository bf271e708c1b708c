"""An inspection as a page, as pictures, and as text for a terminal."""
