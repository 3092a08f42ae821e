//! Types of the features that a model takes and gives: arrays, images, and the rest.

use crate::FormatError;
use crate::coreml::wire::{Context, Field, Message, Writer, broken, set_once};

/// The type of a feature.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FeatureType {
    /// The kind with its details.
    pub kind: Option<FeatureKind>,
    /// Whether a caller may leave the feature out.
    pub is_optional: bool,
}

/// The kind of a feature.
#[derive(Debug, Clone, PartialEq)]
pub enum FeatureKind {
    /// A single integer.
    Int64,
    /// A single number.
    Double,
    /// A string.
    String,
    /// An image.
    Image(ImageFeature),
    /// A multi-dimensional array.
    Array(ArrayFeature),
    /// A dictionary from keys of this kind to numbers.
    Dictionary(KeyKind),
    /// A sequence of values of this kind, with the admitted lengths.
    Sequence(KeyKind, Option<SizeRange>),
    /// A state that holds an array.
    State(Option<ArrayFeature>),
}

/// The kind of a dictionary's keys or a sequence's elements.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum KeyKind {
    /// The file does not say.
    #[default]
    Unstated,
    /// Integers.
    Int64,
    /// Strings.
    String,
}

impl<'a> Message<'a> for FeatureType {
    const NAME: &'static str = "FeatureType";

    fn field(&mut self, field: Field<'a>, context: &mut Context) -> Result<bool, FormatError> {
        let kind = match field.number {
            1 => field.message::<Nothing>(context).map(|_| FeatureKind::Int64)?,
            2 => field.message::<Nothing>(context).map(|_| FeatureKind::Double)?,
            3 => field.message::<Nothing>(context).map(|_| FeatureKind::String)?,
            4 => FeatureKind::Image(field.message(context)?),
            5 => FeatureKind::Array(field.message(context)?),
            6 => FeatureKind::Dictionary(field.message::<DictionaryFeature>(context)?.0),
            7 => {
                let sequence: SequenceFeature = field.message(context)?;
                FeatureKind::Sequence(sequence.element, sequence.sizes)
            }
            8 => FeatureKind::State(field.message::<StateFeature>(context)?.0),
            1000 => {
                self.is_optional = field.bool()?;
                return Ok(true);
            }
            _ => return Ok(false),
        };
        set_once(&mut self.kind, kind, field.offset, Self::NAME)?;
        Ok(true)
    }

    fn encode(&self, out: &mut Writer) {
        match &self.kind {
            None => {}
            Some(FeatureKind::Int64) => out.nested(1, |_| {}),
            Some(FeatureKind::Double) => out.nested(2, |_| {}),
            Some(FeatureKind::String) => out.nested(3, |_| {}),
            Some(FeatureKind::Image(image)) => out.message(4, image),
            Some(FeatureKind::Array(array)) => out.message(5, array),
            Some(FeatureKind::Dictionary(key)) => out.message(6, &DictionaryFeature(*key)),
            Some(FeatureKind::Sequence(element, sizes)) => {
                out.message(
                    7,
                    &SequenceFeature {
                        element: *element,
                        sizes: *sizes,
                    },
                );
            }
            Some(FeatureKind::State(array)) => out.nested(8, |out| out.message_opt(1, array.as_ref())),
        }
        out.bool(1000, self.is_optional);
    }
}

/// A message without fields.
#[derive(Debug, Default)]
struct Nothing;

impl<'a> Message<'a> for Nothing {
    const NAME: &'static str = "FeatureType";

    fn field(&mut self, _: Field<'a>, _: &mut Context) -> Result<bool, FormatError> {
        Ok(false)
    }

    fn encode(&self, _: &mut Writer) {}
}

/// Element type of an array feature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArrayDataType {
    /// 16-bit float, from specification version 7.
    Float16,
    /// 32-bit float.
    Float32,
    /// 64-bit float.
    Double,
    /// 32-bit integer.
    Int32,
    /// 8-bit integer, from specification version 10.
    Int8,
}

/// Codes are `0x10000` (float) or `0x20000` (signed integer) plus the width in bits.
const ARRAY_DATA_TYPES: [(ArrayDataType, u64); 5] = [
    (ArrayDataType::Float16, 65552),
    (ArrayDataType::Float32, 65568),
    (ArrayDataType::Double, 65600),
    (ArrayDataType::Int32, 131_104),
    (ArrayDataType::Int8, 131_080),
];

impl ArrayDataType {
    fn code(self) -> u64 {
        ARRAY_DATA_TYPES
            .iter()
            .find(|(data_type, _)| *data_type == self)
            .map_or(0, |(_, code)| *code)
    }
}

/// An array feature.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ArrayFeature {
    /// The shape, or the default one where the shape is flexible.
    pub shape: Vec<i64>,
    /// The element type.
    pub data_type: Option<ArrayDataType>,
    /// Which other shapes are admitted.
    pub shapes: Option<ArrayShapes>,
    /// What an optional input is filled with, as an integer (field 41).
    pub default_int: Option<i32>,
    /// What an optional input is filled with, as a float (field 51).
    pub default_float: Option<f32>,
    /// What an optional input is filled with, as a double (field 61).
    pub default_double: Option<f64>,
}

/// The shapes that a flexible array admits.
#[derive(Debug, Clone, PartialEq)]
pub enum ArrayShapes {
    /// These.
    Enumerated(Vec<Vec<i64>>),
    /// All within these ranges, one for each dimension.
    Ranges(Vec<SizeRange>),
}

/// A range of sizes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SizeRange {
    /// The least size.
    pub lower: u64,
    /// The largest size; negative for none.
    pub upper: i64,
}

impl<'a> Message<'a> for ArrayFeature {
    const NAME: &'static str = "ArrayFeatureType";

    fn field(&mut self, field: Field<'a>, context: &mut Context) -> Result<bool, FormatError> {
        match field.number {
            1 => field.varints(&mut self.shape, u64::cast_signed)?,
            2 => {
                let code = field.uint64()?;
                let data_type = ARRAY_DATA_TYPES.iter().find(|(_, c)| *c == code).map(|(t, _)| *t);
                let expected = "the code of an array's element type";
                self.data_type =
                    Some(data_type.ok_or_else(|| broken(field.offset, expected, format!("{code}")))?);
            }
            21 => {
                let shapes: List<Shape> = field.message(context)?;
                let shapes = ArrayShapes::Enumerated(shapes.0.into_iter().map(|shape| shape.0).collect());
                set_once(&mut self.shapes, shapes, field.offset, "shape flexibility")?;
            }
            31 => {
                let ranges: List<SizeRange> = field.message(context)?;
                set_once(
                    &mut self.shapes,
                    ArrayShapes::Ranges(ranges.0),
                    field.offset,
                    "shape flexibility",
                )?;
            }
            41 => self.default_int = Some(field.int32()?),
            51 => self.default_float = Some(field.float()?),
            61 => self.default_double = Some(field.double()?),
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn encode(&self, out: &mut Writer) {
        out.varints(1, &self.shape, i64::cast_unsigned);
        out.uint64(2, self.data_type.map_or(0, ArrayDataType::code));
        match &self.shapes {
            None => {}
            Some(ArrayShapes::Enumerated(shapes)) => out.nested(21, |out| {
                for shape in shapes {
                    out.nested(1, |out| out.varints(1, shape, i64::cast_unsigned));
                }
            }),
            Some(ArrayShapes::Ranges(ranges)) => {
                out.nested(31, |out| ranges.iter().for_each(|range| out.message(1, range)));
            }
        }
        if let Some(value) = self.default_int {
            out.int64_always(41, i64::from(value));
        }
        if let Some(value) = self.default_float {
            out.float_always(51, value);
        }
        if let Some(value) = self.default_double {
            out.double_always(61, value);
        }
    }
}

/// A message that is a repeated field 1 of messages.
#[derive(Debug)]
struct List<M>(Vec<M>);

impl<M> Default for List<M> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'a, M: Message<'a>> Message<'a> for List<M> {
    const NAME: &'static str = M::NAME;

    fn field(&mut self, field: Field<'a>, context: &mut Context) -> Result<bool, FormatError> {
        if field.number != 1 {
            return Ok(false);
        }
        self.0.push(field.message(context)?);
        Ok(true)
    }

    fn encode(&self, out: &mut Writer) {
        self.0.iter().for_each(|message| out.message(1, message));
    }
}

#[derive(Debug, Default)]
struct Shape(Vec<i64>);

impl<'a> Message<'a> for Shape {
    const NAME: &'static str = "Shape";

    fn field(&mut self, field: Field<'a>, _: &mut Context) -> Result<bool, FormatError> {
        if field.number != 1 {
            return Ok(false);
        }
        field.varints(&mut self.0, u64::cast_signed)?;
        Ok(true)
    }

    fn encode(&self, out: &mut Writer) {
        out.varints(1, &self.0, i64::cast_unsigned);
    }
}

impl<'a> Message<'a> for SizeRange {
    const NAME: &'static str = "SizeRange";

    fn field(&mut self, field: Field<'a>, _: &mut Context) -> Result<bool, FormatError> {
        match field.number {
            1 => self.lower = field.uint64()?,
            2 => self.upper = field.int64()?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn encode(&self, out: &mut Writer) {
        out.uint64(1, self.lower);
        out.int64(2, self.upper);
    }
}

/// How an image's pixels are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColorSpace {
    /// One channel of 8 bits.
    Grayscale,
    /// Red, green, blue.
    Rgb,
    /// Blue, green, red.
    Bgr,
    /// One channel of 16-bit floats.
    GrayscaleFloat16,
}

const COLOR_SPACES: [(ColorSpace, u64); 4] = [
    (ColorSpace::Grayscale, 10),
    (ColorSpace::Rgb, 20),
    (ColorSpace::Bgr, 30),
    (ColorSpace::GrayscaleFloat16, 40),
];

/// An image feature.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ImageFeature {
    /// Width in pixels.
    pub width: i64,
    /// Height in pixels.
    pub height: i64,
    /// Layout of the pixels.
    pub color_space: Option<ColorSpace>,
    /// Which other sizes are admitted.
    pub sizes: Option<ImageSizes>,
}

/// The sizes that a flexible image admits.
#[derive(Debug, Clone, PartialEq)]
pub enum ImageSizes {
    /// These pairs of width and height.
    Enumerated(Vec<(u64, u64)>),
    /// All within these ranges of width and height.
    Ranges(SizeRange, SizeRange),
}

impl<'a> Message<'a> for ImageFeature {
    const NAME: &'static str = "ImageFeatureType";

    fn field(&mut self, field: Field<'a>, context: &mut Context) -> Result<bool, FormatError> {
        match field.number {
            1 => self.width = field.int64()?,
            2 => self.height = field.int64()?,
            3 => {
                let code = field.uint64()?;
                let space = COLOR_SPACES
                    .iter()
                    .find(|(_, c)| *c == code)
                    .map(|(space, _)| *space);
                let expected = "the code of a colour space";
                self.color_space =
                    Some(space.ok_or_else(|| broken(field.offset, expected, format!("{code}")))?);
            }
            21 => {
                let sizes: List<ImageSize> = field.message(context)?;
                let sizes = ImageSizes::Enumerated(sizes.0.iter().map(|size| (size.0, size.1)).collect());
                set_once(&mut self.sizes, sizes, field.offset, "size flexibility")?;
            }
            31 => {
                let ranges: ImageSizeRange = field.message(context)?;
                let ranges = ImageSizes::Ranges(
                    ranges.width.unwrap_or_default(),
                    ranges.height.unwrap_or_default(),
                );
                set_once(&mut self.sizes, ranges, field.offset, "size flexibility")?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn encode(&self, out: &mut Writer) {
        out.int64(1, self.width);
        out.int64(2, self.height);
        let code = COLOR_SPACES
            .iter()
            .find(|(space, _)| Some(*space) == self.color_space);
        out.uint64(3, code.map_or(0, |(_, code)| *code));
        match &self.sizes {
            None => {}
            Some(ImageSizes::Enumerated(sizes)) => out.nested(21, |out| {
                sizes
                    .iter()
                    .for_each(|(width, height)| out.message(1, &ImageSize(*width, *height)));
            }),
            Some(ImageSizes::Ranges(width, height)) => out.nested(31, |out| {
                out.message(1, width);
                out.message(2, height);
            }),
        }
    }
}

#[derive(Debug, Default)]
struct ImageSize(u64, u64);

impl<'a> Message<'a> for ImageSize {
    const NAME: &'static str = "ImageSize";

    fn field(&mut self, field: Field<'a>, _: &mut Context) -> Result<bool, FormatError> {
        match field.number {
            1 => self.0 = field.uint64()?,
            2 => self.1 = field.uint64()?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn encode(&self, out: &mut Writer) {
        out.uint64(1, self.0);
        out.uint64(2, self.1);
    }
}

#[derive(Debug, Default)]
struct ImageSizeRange {
    width: Option<SizeRange>,
    height: Option<SizeRange>,
}

impl<'a> Message<'a> for ImageSizeRange {
    const NAME: &'static str = "ImageSizeRange";

    fn field(&mut self, field: Field<'a>, context: &mut Context) -> Result<bool, FormatError> {
        match field.number {
            1 => field.message_once(&mut self.width, context)?,
            2 => field.message_once(&mut self.height, context)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn encode(&self, out: &mut Writer) {
        out.message_opt(1, self.width.as_ref());
        out.message_opt(2, self.height.as_ref());
    }
}

#[derive(Debug, Default)]
struct DictionaryFeature(KeyKind);

impl<'a> Message<'a> for DictionaryFeature {
    const NAME: &'static str = "DictionaryFeatureType";

    fn field(&mut self, field: Field<'a>, context: &mut Context) -> Result<bool, FormatError> {
        self.0 = match field.number {
            1 => field.message::<Nothing>(context).map(|_| KeyKind::Int64)?,
            2 => field.message::<Nothing>(context).map(|_| KeyKind::String)?,
            _ => return Ok(false),
        };
        Ok(true)
    }

    fn encode(&self, out: &mut Writer) {
        match self.0 {
            KeyKind::Unstated => {}
            KeyKind::Int64 => out.nested(1, |_| {}),
            KeyKind::String => out.nested(2, |_| {}),
        }
    }
}

#[derive(Debug, Default)]
struct SequenceFeature {
    element: KeyKind,
    sizes: Option<SizeRange>,
}

impl<'a> Message<'a> for SequenceFeature {
    const NAME: &'static str = "SequenceFeatureType";

    fn field(&mut self, field: Field<'a>, context: &mut Context) -> Result<bool, FormatError> {
        match field.number {
            1 => self.element = field.message::<Nothing>(context).map(|_| KeyKind::Int64)?,
            3 => self.element = field.message::<Nothing>(context).map(|_| KeyKind::String)?,
            101 => field.message_once(&mut self.sizes, context)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn encode(&self, out: &mut Writer) {
        match self.element {
            KeyKind::Unstated => {}
            KeyKind::Int64 => out.nested(1, |_| {}),
            KeyKind::String => out.nested(3, |_| {}),
        }
        out.message_opt(101, self.sizes.as_ref());
    }
}

#[derive(Debug, Default)]
struct StateFeature(Option<ArrayFeature>);

impl<'a> Message<'a> for StateFeature {
    const NAME: &'static str = "StateFeatureType";

    fn field(&mut self, field: Field<'a>, context: &mut Context) -> Result<bool, FormatError> {
        if field.number != 1 {
            return Ok(false);
        }
        field.message_once(&mut self.0, context)?;
        Ok(true)
    }

    fn encode(&self, out: &mut Writer) {
        out.message_opt(1, self.0.as_ref());
    }
}
