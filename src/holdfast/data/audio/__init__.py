"""Audio: sound files, manifests, filterbanks, normalization and augmentation."""
