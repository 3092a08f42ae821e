//! Labelled data: npy files, images, preprocessing recipes, data sets.
