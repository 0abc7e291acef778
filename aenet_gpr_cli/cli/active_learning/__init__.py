"""Commands that choose and make new reference calculations."""
