"""The stages: each reads artefacts, computes, and publishes one artefact."""
