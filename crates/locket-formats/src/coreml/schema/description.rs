//! The model file's outermost messages: the model, its description, its metadata.

use std::collections::BTreeMap;

use super::feature::FeatureType;
use super::program::Program;
use crate::FormatError;
use crate::coreml::wire::{Context, Field, Message, Text, Writer, set_once};

/// A model file.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Model<'a> {
    /// The specification version, which fixes the least operating system.
    pub specification_version: i32,
    /// Inputs, outputs and metadata.
    pub description: Option<ModelDescription<'a>>,
    /// Whether the model can be trained on the device.
    pub is_updatable: bool,
    /// What the model is.
    pub kind: Option<ModelKind<'a>>,
}

/// What a model is.
#[derive(Debug, Clone, PartialEq)]
pub enum ModelKind<'a> {
    /// An ML Program.
    MlProgram(Program<'a>),
    /// Anything else, with its field number and name; its contents are not decoded.
    Other(u32, &'static str),
}

/// The field number of an ML Program in a model.
const ML_PROGRAM: u32 = 502;

/// Names of the other kinds of model by field number. All numbers from 200 on are kinds of model.
const OTHER_KINDS: [(u32, &str); 36] = [
    (200, "pipelineClassifier"),
    (201, "pipelineRegressor"),
    (202, "pipeline"),
    (300, "glmRegressor"),
    (301, "supportVectorRegressor"),
    (302, "treeEnsembleRegressor"),
    (303, "neuralNetworkRegressor"),
    (304, "bayesianProbitRegressor"),
    (400, "glmClassifier"),
    (401, "supportVectorClassifier"),
    (402, "treeEnsembleClassifier"),
    (403, "neuralNetworkClassifier"),
    (404, "kNearestNeighborsClassifier"),
    (500, "neuralNetwork"),
    (501, "itemSimilarityRecommender"),
    (555, "customModel"),
    (556, "linkedModel"),
    (560, "classConfidenceThresholding"),
    (600, "oneHotEncoder"),
    (601, "imputer"),
    (602, "featureVectorizer"),
    (603, "dictVectorizer"),
    (604, "scaler"),
    (606, "categoricalMapping"),
    (607, "normalizer"),
    (609, "arrayFeatureExtractor"),
    (610, "nonMaximumSuppression"),
    (900, "identity"),
    (2000, "textClassifier"),
    (2001, "wordTagger"),
    (2002, "visionFeaturePrint"),
    (2003, "soundAnalysisPreprocessing"),
    (2004, "gazetteer"),
    (2005, "wordEmbedding"),
    (2006, "audioFeaturePrint"),
    (3000, "serializedModel"),
];

impl<'a> Message<'a> for Model<'a> {
    const NAME: &'static str = "Model";

    fn field(&mut self, field: Field<'a>, context: &mut Context) -> Result<bool, FormatError> {
        match field.number {
            1 => self.specification_version = field.int32()?,
            2 => field.message_once(&mut self.description, context)?,
            10 => self.is_updatable = field.bool()?,
            ML_PROGRAM => {
                let program = ModelKind::MlProgram(field.message(context)?);
                set_once(&mut self.kind, program, field.offset, "model type")?;
            }
            200.. => {
                let known = OTHER_KINDS.iter().find(|(number, _)| *number == field.number);
                let kind = ModelKind::Other(field.number, known.map_or("unknown", |(_, name)| name));
                set_once(&mut self.kind, kind, field.offset, "model type")?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn encode(&self, out: &mut Writer) {
        out.int64(1, i64::from(self.specification_version));
        out.message_opt(2, self.description.as_ref());
        out.bool(10, self.is_updatable);
        if let Some(ModelKind::MlProgram(program)) = &self.kind {
            out.message(ML_PROGRAM, program);
        }
    }
}

/// What a model takes and gives, and who made it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ModelDescription<'a> {
    /// Inputs, where the model has one function.
    pub inputs: Vec<FeatureDescription<'a>>,
    /// Outputs, where the model has one function.
    pub outputs: Vec<FeatureDescription<'a>>,
    /// The output that holds a classifier's class.
    pub predicted_feature_name: Text<'a>,
    /// The output that holds a classifier's probabilities.
    pub predicted_probabilities_name: Text<'a>,
    /// States, where the model has one function.
    pub states: Vec<FeatureDescription<'a>>,
    /// Functions, where the model has several.
    pub functions: Vec<FunctionDescription<'a>>,
    /// The function that is used when none is named.
    pub default_function_name: Text<'a>,
    /// Inputs of on-device training.
    pub training_inputs: Vec<FeatureDescription<'a>>,
    /// Who made the model, and what they say about it.
    pub metadata: Option<Metadata<'a>>,
}

impl<'a> Message<'a> for ModelDescription<'a> {
    const NAME: &'static str = "ModelDescription";

    fn field(&mut self, field: Field<'a>, context: &mut Context) -> Result<bool, FormatError> {
        match field.number {
            1 => self.inputs.push(field.message(context)?),
            10 => self.outputs.push(field.message(context)?),
            11 => self.predicted_feature_name = field.text()?,
            12 => self.predicted_probabilities_name = field.text()?,
            13 => self.states.push(field.message(context)?),
            20 => self.functions.push(field.message(context)?),
            21 => self.default_function_name = field.text()?,
            50 => self.training_inputs.push(field.message(context)?),
            100 => field.message_once(&mut self.metadata, context)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn encode(&self, out: &mut Writer) {
        self.inputs.iter().for_each(|input| out.message(1, input));
        self.outputs.iter().for_each(|output| out.message(10, output));
        out.text(11, &self.predicted_feature_name);
        out.text(12, &self.predicted_probabilities_name);
        self.states.iter().for_each(|state| out.message(13, state));
        self.functions
            .iter()
            .for_each(|function| out.message(20, function));
        out.text(21, &self.default_function_name);
        self.training_inputs
            .iter()
            .for_each(|input| out.message(50, input));
        out.message_opt(100, self.metadata.as_ref());
    }
}

/// What one of several functions takes and gives.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FunctionDescription<'a> {
    /// The function's name.
    pub name: Text<'a>,
    /// Inputs.
    pub inputs: Vec<FeatureDescription<'a>>,
    /// Outputs.
    pub outputs: Vec<FeatureDescription<'a>>,
    /// The output that holds a classifier's class.
    pub predicted_feature_name: Text<'a>,
    /// The output that holds a classifier's probabilities.
    pub predicted_probabilities_name: Text<'a>,
    /// States.
    pub states: Vec<FeatureDescription<'a>>,
}

impl<'a> Message<'a> for FunctionDescription<'a> {
    const NAME: &'static str = "FunctionDescription";

    fn field(&mut self, field: Field<'a>, context: &mut Context) -> Result<bool, FormatError> {
        match field.number {
            1 => self.name = field.text()?,
            2 => self.inputs.push(field.message(context)?),
            3 => self.outputs.push(field.message(context)?),
            4 => self.predicted_feature_name = field.text()?,
            5 => self.predicted_probabilities_name = field.text()?,
            6 => self.states.push(field.message(context)?),
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn encode(&self, out: &mut Writer) {
        out.text(1, &self.name);
        self.inputs.iter().for_each(|input| out.message(2, input));
        self.outputs.iter().for_each(|output| out.message(3, output));
        out.text(4, &self.predicted_feature_name);
        out.text(5, &self.predicted_probabilities_name);
        self.states.iter().for_each(|state| out.message(6, state));
    }
}

/// One input, output or state.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FeatureDescription<'a> {
    /// Its name.
    pub name: Text<'a>,
    /// What it is, for people.
    pub short_description: Text<'a>,
    /// Its type.
    pub feature_type: Option<FeatureType>,
}

impl<'a> Message<'a> for FeatureDescription<'a> {
    const NAME: &'static str = "FeatureDescription";

    fn field(&mut self, field: Field<'a>, context: &mut Context) -> Result<bool, FormatError> {
        match field.number {
            1 => self.name = field.text()?,
            2 => self.short_description = field.text()?,
            3 => field.message_once(&mut self.feature_type, context)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn encode(&self, out: &mut Writer) {
        out.text(1, &self.name);
        out.text(2, &self.short_description);
        out.message_opt(3, self.feature_type.as_ref());
    }
}

/// Who made a model, and what they say about it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Metadata<'a> {
    /// What the model is for.
    pub short_description: Text<'a>,
    /// The model's own version.
    pub version: Text<'a>,
    /// Who made it.
    pub author: Text<'a>,
    /// Its licence.
    pub license: Text<'a>,
    /// Anything else.
    pub user_defined: BTreeMap<Text<'a>, Text<'a>>,
}

impl<'a> Message<'a> for Metadata<'a> {
    const NAME: &'static str = "Metadata";

    fn field(&mut self, field: Field<'a>, context: &mut Context) -> Result<bool, FormatError> {
        match field.number {
            1 => self.short_description = field.text()?,
            2 => self.version = field.text()?,
            3 => self.author = field.text()?,
            4 => self.license = field.text()?,
            100 => field.text_entry(&mut self.user_defined, context)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn encode(&self, out: &mut Writer) {
        out.text(1, &self.short_description);
        out.text(2, &self.version);
        out.text(3, &self.author);
        out.text(4, &self.license);
        out.text_map(100, &self.user_defined);
    }
}
