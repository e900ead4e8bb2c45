//! Sets of rows and clients that know only fingerprints, made for hundreds of millions of entries.
//!
//! An entry is 16 bytes: 62 bits of a client's fingerprint, 64 bits of a row's, and two bits about the client. The
//! entries are in the order of the clients, with gaps (linear probing, Knuth, The Art of Computer Programming 3, §6.4;
//! the home of a client is proportional to its fingerprint). A set is at most full to four fifths, so that an entry
//! needs 20 bytes at the end, more if there are fewer entries than were expected. Growing writes a larger array from
//! the first to the last slot, without jumping.
//!
//! Each lookup reads a random place of memory. So keys are looked up in groups: the homes of a group are read first,
//! while nothing depends on what they hold, which lets the processor wait for all of them at once. Large pages save it
//! the search for their addresses.

use std::hint::black_box;
use std::mem::size_of;

use memmap2::MmapMut;

/// Number of keys that are looked up together.
pub const GROUP: usize = 32;
/// Largest number of rows of one client in a set, so that a client with many rows does not fill a region of it.
pub const MOST_ROWS: usize = 8;
/// The largest share of occupied slots: four fifths.
const FULLEST: (usize, usize) = (4, 5);
/// Largest number of slots after the last home, for entries that have no room in the homes before.
const TAIL: usize = 4096;
/// Number of homes of the smallest set.
const FEWEST: usize = 1024;
const SLOT: usize = size_of::<u128>();

/// The bits of an entry that say something about the client.
const STATE: u128 = 0b11;
/// The bits of an entry that identify the client.
const CLIENT: u128 = u128::MAX << 66;

/// Returns a key of the highest 62 bits of a client's fingerprint and 64 bits of a row's. Never 0, which is an empty
/// slot.
pub fn key(client: u64, row: u64) -> u128 {
    (((u128::from(client) << 64) & CLIENT) | (u128::from(row) << 2)).max(STATE + 1)
}

/// A set of rows by client. The highest 4 bits of a key are not used, because they choose a set.
pub struct Fingerprints {
    slots: Slots,
    homes: usize,
    len: usize,
}

/// What a set knows about a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// The row was not known; it is now.
    New,
    /// The row was known.
    Known,
    /// The client has [`MOST_ROWS`] other rows in the set. The row is not added.
    Full,
}

/// How much of the input has been read, by which the final size of a set is estimated.
#[derive(Clone, Copy, Debug)]
pub struct ReadSoFar {
    /// Number of bytes that have been read.
    pub read: u64,
    /// Number of bytes of the whole input, at least approximately.
    pub bytes: u64,
}

impl ReadSoFar {
    /// Returns how many entries a set with `len` of them will have at the end, with a reserve. At most four times as
    /// many, because later rows may repeat the first ones.
    fn final_len(self, len: usize) -> usize {
        let share = (self.read.max(1) as f64 / self.bytes.max(1) as f64).clamp(1.0 / 4.0, 1.0);
        ((len as f64 / share * 1.02) as usize).max(len + len / 8)
    }
}

impl Fingerprints {
    /// Creates an empty set, which needs memory only once it has an entry.
    pub fn new() -> Self {
        Self { slots: Slots::Allocated(Vec::new()), homes: 0, len: 0 }
    }

    /// Returns an empty set with so many homes; `None` if the system has no memory for it.
    fn mapped(homes: usize) -> Option<Self> {
        Some(Self { slots: Slots::mapped(slots_of(homes))?, homes, len: 0 })
    }

    /// Returns an empty set with so many homes. Without memory for it, the process ends.
    fn allocated(homes: usize) -> Self {
        let slots = Slots::mapped(slots_of(homes)).unwrap_or_else(|| Slots::Allocated(vec![0; slots_of(homes) * SLOT]));
        Self { slots, homes, len: 0 }
    }

    /// Looks up at most [`GROUP`] keys in their order. Calls `visit` with the position of each in the group, what is
    /// known, and the two bits of its client, which `visit` may change. A new client has 0.
    pub fn update(&mut self, group: &[u128], so_far: ReadSoFar, mut visit: impl FnMut(usize, Lookup, &mut u8)) {
        if self.len + group.len() > self.homes / FULLEST.1 * FULLEST.0 {
            self.grow(so_far);
        }
        let slots = self.slots.all();
        for key in group {
            black_box(slots[home(self.homes, *key)]);
        }
        for (position, key) in group.iter().enumerate() {
            let place = match find(self.slots.all(), home(self.homes, *key), *key) {
                Some(place) => place,
                None => self.find_in_larger(*key, so_far),
            };
            let slots = self.slots.all_mut();
            let first = u128::from_ne_bytes(slots[place.first]);
            let mut state = (first & STATE) as u8;
            visit(position, place.lookup, &mut state);
            if let Lookup::New = place.lookup {
                slots[place.slot] = key.to_ne_bytes();
                self.len += 1;
            }
            let first = if first == 0 { *key } else { first };
            slots[place.first] = ((first & !STATE) | u128::from(state)).to_ne_bytes();
        }
    }

    fn find_in_larger(&mut self, key: u128, so_far: ReadSoFar) -> Place {
        loop {
            self.grow(so_far);
            if let Some(place) = find(self.slots.all(), home(self.homes, key), key) {
                return place;
            }
        }
    }

    fn grow(&mut self, so_far: ReadSoFar) {
        let at_the_end = so_far.final_len(self.len) / FULLEST.0 * FULLEST.1;
        let mut least = (self.homes + self.homes / 8).max(FEWEST);
        let mut larger = Self::mapped(at_the_end.max(least));
        loop {
            // If there is no memory for the estimate, there may be for less.
            let mut candidate = larger.take().unwrap_or_else(|| Self::allocated(least));
            if candidate.take_all(self) {
                *self = candidate;
                return;
            }
            least = candidate.homes + candidate.homes / 4;
        }
    }

    /// Takes all entries of another set into an empty one. Returns whether there is room.
    fn take_all(&mut self, other: &Self) -> bool {
        let slots = self.slots.all_mut();
        for entry in other.slots.all() {
            let key = u128::from_ne_bytes(*entry);
            if key == 0 {
                continue;
            }
            // The order of a client's entries stays, because each goes to the first empty slot after its home.
            let after = &mut slots[home(self.homes, key)..];
            let Some(empty) = after.iter_mut().find(|slot| u128::from_ne_bytes(**slot) == 0) else { return false };
            *empty = *entry;
        }
        self.len = other.len;
        true
    }
}

/// Returns the number of slots of a set with so many homes.
fn slots_of(homes: usize) -> usize {
    homes + TAIL.min(homes / 4)
}

/// Returns the slot, among so many homes, where the rows of a key's client begin.
fn home(homes: usize, key: u128) -> usize {
    let client = ((key & CLIENT) >> 60) as u64;
    ((u128::from(client) * homes as u128) >> 64) as usize
}

/// Where a key belongs.
struct Place {
    lookup: Lookup,
    /// The slot of the row, or that where it belongs.
    slot: usize,
    /// The slot of the client's first row, which holds the bits of the client.
    first: usize,
}

/// Looks for a key from its home on; `None` if there is no room.
fn find(slots: &[[u8; SLOT]], home: usize, key: u128) -> Option<Place> {
    let mut first = None;
    let mut rows = 0;
    for (slot, entry) in slots.iter().enumerate().skip(home) {
        let entry = u128::from_ne_bytes(*entry);
        let place = |lookup| Place { lookup, slot, first: first.unwrap_or(slot) };
        if entry == 0 {
            return Some(place(Lookup::New));
        }
        if (entry ^ key) & CLIENT == 0 {
            if (entry ^ key) & !STATE == 0 {
                return Some(place(Lookup::Known));
            }
            rows += 1;
            if rows == MOST_ROWS {
                return Some(place(Lookup::Full));
            }
            first = first.or(Some(slot));
        }
    }
    None
}

/// An array of slots; 0 is an empty one.
enum Slots {
    Mapped(MmapMut),
    /// Where the system maps no memory.
    Allocated(Vec<u8>),
}

impl Slots {
    fn mapped(slots: usize) -> Option<Self> {
        let memory = MmapMut::map_anon(slots * SLOT).ok()?;
        // All slots will be used. If they were read before they are written, the kernel would map each page twice. A
        // kernel that cannot do this works as well.
        #[cfg(target_os = "linux")]
        for advice in [memmap2::Advice::HugePage, memmap2::Advice::PopulateWrite] {
            let _ = memory.advise(advice);
        }
        Some(Self::Mapped(memory))
    }

    fn all(&self) -> &[[u8; SLOT]] {
        let bytes: &[u8] = match self {
            Self::Mapped(memory) => memory,
            Self::Allocated(memory) => memory,
        };
        bytes.as_chunks().0
    }

    fn all_mut(&mut self) -> &mut [[u8; SLOT]] {
        let bytes: &mut [u8] = match self {
            Self::Mapped(memory) => memory,
            Self::Allocated(memory) => memory,
        };
        bytes.as_chunks_mut().0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_xoshiro::Xoshiro256PlusPlus;
    use rand_xoshiro::rand_core::{Rng, SeedableRng};
    use std::collections::{HashMap, HashSet};

    const START: ReadSoFar = ReadSoFar { read: 1, bytes: 100 };

    #[test]
    fn rows_and_clients_are_known_as_in_a_hash_map_whatever_their_number() {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(3);
        for (clients, rows) in [(100_000, 4), (1_000_000, 1), (1000, 1000), (3, 20)] {
            let mut set = Fingerprints::new();
            let mut expected: HashMap<u64, (HashSet<u64>, u8)> = HashMap::new();
            for _ in 0..20_000 {
                // Clients with neighbouring homes, among others.
                let pairs: Vec<(u64, u64)> = (0..random.next_u32() as usize % (GROUP + 1))
                    .map(|_| (u64::from(random.next_u32() % clients) << 42, u64::from(random.next_u32() % rows)))
                    .map(|(client, row)| (client | 1 << 40, row))
                    .collect();
                let keys: Vec<u128> = pairs.iter().map(|(client, row)| key(*client, *row)).collect();
                set.update(&keys, START, |position, lookup, state| {
                    let (client, row) = pairs[position];
                    let (rows, bits) = expected.entry(client).or_default();
                    assert_eq!(state, bits);
                    let full = rows.len() == MOST_ROWS;
                    let wanted = match rows.contains(&row) {
                        true => Lookup::Known,
                        false if full => Lookup::Full,
                        false => Lookup::New,
                    };
                    assert_eq!(lookup, wanted);
                    if !full {
                        rows.insert(row);
                    }
                    *bits = (*bits + row as u8) % 4;
                    *state = *bits;
                });
            }
            assert_eq!(set.len, expected.values().map(|(rows, _)| rows.len()).sum::<usize>());
        }
    }

    #[test]
    fn clients_of_the_last_home_find_room() {
        let mut set = Fingerprints::new();
        for lookup in [Lookup::New, Lookup::Known] {
            for client in 0..3000 {
                set.update(&[key(u64::MAX - 4 * client, 7)], START, |_, found, _| assert_eq!(found, lookup));
            }
        }
        assert_eq!(set.len, 3000);
    }

    #[test]
    fn zero_is_a_key_too() {
        let mut set = Fingerprints::new();
        let mut found = Vec::new();
        set.update(&[key(0, 0), key(0, 0)], START, |_, lookup, _| found.push(lookup));
        assert_eq!(found, [Lookup::New, Lookup::Known]);
    }

    #[test]
    fn an_entry_needs_little_more_than_twenty_bytes_at_the_end() {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(4);
        let (mut set, entries) = (Fingerprints::new(), 1_000_000);
        for read in 0..entries {
            set.update(&[key(random.next_u64(), 0)], ReadSoFar { read, bytes: entries }, |_, _, _| {});
        }
        let bytes = set.slots.all().len() * SLOT;
        assert!((20.0..21.0).contains(&(bytes as f64 / entries as f64)), "{bytes}");
    }
}
