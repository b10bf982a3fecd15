//! A set of classes described by as few tests as it takes, exactly: no class too many, none left out.

/// For each test, how it must come out; `None`: either way.
pub(super) type Cube = Vec<Option<bool>>;

/// Cubes that together hold the wanted ones of `classes` and no other of them. Each class says how every test comes out.
///
/// A test that must fail is given up before one that must hold: what is left is positive where it can be.
pub(super) fn cubes(classes: &[(&[bool], bool)]) -> Vec<Cube> {
    let mut described: Vec<Cube> = Vec::new();
    for (fits, wanted) in classes {
        if *wanted && !described.iter().any(|cube| holds(cube, fits)) {
            described.push(widened(fits, classes));
        }
    }
    described
}

/// Whether a class lies in a cube.
pub(super) fn holds(cube: &[Option<bool>], fits: &[bool]) -> bool {
    cube.iter().zip(fits).all(|(wanted, fits)| wanted.is_none_or(|wanted| wanted == *fits))
}

/// The widest cube around a class that no unwanted class lies in; which of several is settled by the order of the tests.
fn widened(fits: &[bool], classes: &[(&[bool], bool)]) -> Cube {
    let mut cube: Cube = fits.iter().map(|fits| Some(*fits)).collect();
    let places = |of: bool| fits.iter().enumerate().filter(move |(_, fits)| **fits == of).map(|(place, _)| place);
    for place in places(false).chain(places(true)) {
        let Some(slot) = cube.get_mut(place) else { continue };
        let before = slot.take();
        if classes.iter().any(|(fits, wanted)| !wanted && holds(&cube, fits))
            && let Some(slot) = cube.get_mut(place)
        {
            *slot = before;
        }
    }
    cube
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_except_another_is_one_cube() {
        // prod/*, prod/db, dev/*: the classes outside, in prod, the one secret, in dev.
        let classes: [&[bool]; 4] =
            [&[false, false, false], &[true, false, false], &[true, true, false], &[false, false, true]];
        let described = |wanted: [bool; 4]| cubes(&classes.into_iter().zip(wanted).collect::<Vec<_>>());
        assert_eq!(described([false, true, false, false]), [[Some(true), Some(false), None]]);
        assert_eq!(described([false, true, true, false]), [[Some(true), None, None]]);
        assert_eq!(described([true; 4]), [[None, None, None]]);
        assert_eq!(described([false; 4]), Vec::<Cube>::new());
        assert_eq!(described([false, true, true, true]).len(), 2);
    }
}
