//! Shapes keep what their distance promises: sign, outline, bounds.

use super::{Camera, Canvas, Frame, Shape};
use crate::maths::{Point, Rgb, p};
use crate::random::Random;

const CORNERS: [Point; 5] = [
    p(-0.4, -0.3),
    p(0.5, -0.2),
    p(0.1, 0.0),
    p(0.4, 0.5),
    p(-0.3, 0.4),
];

fn shapes() -> [Shape<'static>; 7] {
    [
        Shape::Circle(p(0.1, -0.1), 0.5),
        Shape::Ellipse(p(-0.1, 0.1), p(0.6, 0.3)),
        Shape::Dome(p(0.0, -0.2), p(0.5, 0.7)),
        Shape::Slab(p(0.1, 0.1), p(0.5, 0.3), 0.1),
        Shape::Limb(p(-0.4, -0.2), p(0.4, 0.3), 0.1, 0.3),
        Shape::Ring(p(0.0, 0.0), 0.5, 0.1),
        Shape::Polygon(&CORNERS, 0.05),
    ]
}

#[test]
fn what_is_inside_a_shape_is_inside_its_bounds() {
    let mut random = Random::new(1, 1);
    for shape in shapes() {
        let (low, high) = shape.bounds();
        let mut inside = 0;
        for _ in 0..4000 {
            let at = p(random.range(-1.5, 1.5), random.range(-1.5, 1.5));
            if shape.distance(at) < 0.0 {
                inside += 1;
                let within = at.x >= low.x && at.x <= high.x && at.y >= low.y && at.y <= high.y;
                assert!(within, "{shape:?} has {at:?} inside, beyond its bounds");
            }
        }
        assert!(inside > 50, "{shape:?} is hardly there");
    }
}

#[test]
fn distances_grow_no_faster_than_the_way() {
    let mut random = Random::new(2, 1);
    for shape in shapes() {
        // A limb's radius changes by 0.2 over 0.94; an ellipse's distance is only good near its outline.
        let (bound, reach) = match shape {
            Shape::Limb(..) => (1.22, f32::MAX),
            Shape::Ellipse(..) | Shape::Dome(..) => (1.25, 0.03),
            _ => (1.01, f32::MAX),
        };
        for _ in 0..2000 {
            let at = p(random.range(-1.0, 1.0), random.range(-1.0, 1.0));
            let step = p(random.range(-0.01, 0.01), random.range(-0.01, 0.01));
            if shape.distance(at).abs() > reach {
                continue;
            }
            let change = (shape.distance(at + step) - shape.distance(at)).abs();
            assert!(
                change <= bound * step.length() + 1e-5,
                "{shape:?} at {at:?}: {change}"
            );
        }
    }
}

#[test]
fn known_distances() {
    let table = [
        (Shape::Circle(p(0.0, 0.0), 1.0), p(3.0, 4.0), 4.0),
        (Shape::Slab(p(0.0, 0.0), p(2.0, 1.0), 0.0), p(5.0, 5.0), 5.0),
        (Shape::Slab(p(0.0, 0.0), p(2.0, 1.0), 0.0), p(0.0, 0.0), -1.0),
        (Shape::Limb(p(0.0, 0.0), p(2.0, 0.0), 0.5, 0.5), p(1.0, 2.0), 1.5),
        (Shape::Ring(p(0.0, 0.0), 1.0, 0.25), p(0.0, 0.0), 0.75),
        (
            Shape::Polygon(&[p(0.0, 0.0), p(4.0, 0.0), p(4.0, 4.0), p(0.0, 4.0)], 0.0),
            p(1.0, 2.0),
            -1.0,
        ),
        (Shape::Dome(p(0.0, 0.0), p(1.0, 1.0)), p(0.0, -0.5), 0.5),
    ];
    for (shape, at, expected) in table {
        assert!(
            (shape.distance(at) - expected).abs() < 1e-5,
            "{shape:?} at {at:?}: {}",
            shape.distance(at)
        );
    }
}

#[test]
fn camera_and_frame_lead_back() {
    let camera = Camera::new(0.02);
    let frame = Frame {
        camera,
        foot: p(0.3, 0.8),
        scale: 0.4,
        direction: -1.0,
    };
    for own in [p(0.0, 0.0), p(0.7, -0.2), p(-1.0, 1.0)] {
        let back = frame.to_own(frame.to_picture(own));
        // The polynomial sine and cosine miss the unit circle by up to a thousandth.
        assert!((back - own).length() < 5e-3, "{own:?} came back as {back:?}");
    }
}

#[test]
fn sampling_hits_pixel_centres_and_stays_inside() {
    let mut canvas = Canvas::new(4);
    canvas.for_each(|at, pixel| *pixel = Rgb::linear(at.x, at.y, 0.0));
    let middle = canvas.sample(p(0.375, 0.625));
    assert!((middle.r - 0.375).abs() < 1e-6 && (middle.g - 0.625).abs() < 1e-6);
    assert_eq!(canvas.sample(p(-3.0, 9.0)), Rgb::linear(0.125, 0.875, 0.0));
}
