//! The types of numbers, and integer keys in the order of the numbers.

/// A type of numbers. Its keys are integers in the order of the numbers.
pub trait Number: Copy + Default + PartialOrd + Send + Sync {
    /// The type of the keys.
    type Key: Copy + Default + Ord + Into<u64> + Send + Sync;

    /// The smallest and the largest key, if all keys are few.
    const ALL: Option<(u64, u64)> = None;

    /// Returns the number's key.
    fn key(self) -> Self::Key;

    /// Returns the number as `f64`.
    fn number(self) -> f64;

    /// Returns the number of a key as `f64`.
    fn of_key(key: u64) -> f64;
}

impl Number for u8 {
    type Key = u32;
    const ALL: Option<(u64, u64)> = Some((0, u8::MAX as u64));

    fn key(self) -> u32 {
        self.into()
    }

    fn number(self) -> f64 {
        self.into()
    }

    fn of_key(key: u64) -> f64 {
        key as f64
    }
}

impl Number for u16 {
    type Key = u32;
    const ALL: Option<(u64, u64)> = Some((0, u16::MAX as u64));

    fn key(self) -> u32 {
        self.into()
    }

    fn number(self) -> f64 {
        self.into()
    }

    fn of_key(key: u64) -> f64 {
        key as f64
    }
}

impl Number for i32 {
    type Key = u32;

    fn key(self) -> u32 {
        self as u32 ^ (1 << 31)
    }

    fn number(self) -> f64 {
        self.into()
    }

    fn of_key(key: u64) -> f64 {
        f64::from((key as u32 ^ (1 << 31)) as i32)
    }
}

impl Number for f64 {
    type Key = u64;

    /// Returns the bits in the order of [`f64::total_cmp`].
    fn key(self) -> u64 {
        let bits = self.to_bits();
        bits ^ (((bits as i64) >> 63) as u64 | 1 << 63)
    }

    fn number(self) -> f64 {
        self
    }

    fn of_key(key: u64) -> f64 {
        f64::from_bits(key ^ (((!key as i64) >> 63) as u64 | 1 << 63))
    }
}
