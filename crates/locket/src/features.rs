//! Named tensors, in and out.

use std::collections::BTreeMap;

use locket_tensor::{DType, Tensor};

/// The name and type of an input or output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeatureDescription {
    /// Its name.
    pub name: String,
    /// Element type.
    pub dtype: DType,
    /// Dimensions, outermost first.
    pub shape: Vec<usize>,
}

/// Something that has named tensors.
pub trait FeatureProvider {
    /// The names it has, in a stable order.
    fn feature_names(&self) -> Vec<&str>;

    /// The tensor of this name.
    fn multi_array(&self, name: &str) -> Option<&Tensor>;
}

/// Named tensors in a dictionary.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DictionaryFeatureProvider {
    features: BTreeMap<String, Tensor>,
}

impl DictionaryFeatureProvider {
    /// The tensor of this name.
    pub fn multi_array(&self, name: &str) -> Option<&Tensor> {
        self.features.get(name)
    }

    /// Adds or replaces a tensor.
    pub fn insert(&mut self, name: &str, tensor: Tensor) {
        self.features.insert(name.to_owned(), tensor);
    }
}

impl FeatureProvider for DictionaryFeatureProvider {
    fn feature_names(&self) -> Vec<&str> {
        self.features.keys().map(String::as_str).collect()
    }

    fn multi_array(&self, name: &str) -> Option<&Tensor> {
        self.features.get(name)
    }
}

impl<const N: usize> From<[(&str, Tensor); N]> for DictionaryFeatureProvider {
    fn from(features: [(&str, Tensor); N]) -> Self {
        features.into_iter().collect()
    }
}

impl<S: Into<String>> FromIterator<(S, Tensor)> for DictionaryFeatureProvider {
    fn from_iter<I: IntoIterator<Item = (S, Tensor)>>(features: I) -> Self {
        Self {
            features: features
                .into_iter()
                .map(|(name, tensor)| (name.into(), tensor))
                .collect(),
        }
    }
}
