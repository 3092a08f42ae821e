//! Quantise, palettise, prune; sensitivity, search, measurement and certificate.
