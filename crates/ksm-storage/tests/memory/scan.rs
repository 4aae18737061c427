//! A search for copies of a value in this process's own memory, through `/proc`.

use std::{
    collections::BTreeSet,
    fmt,
    fs::{self, File},
    io,
    ops::Range,
    os::unix::fs::FileExt,
    sync::{Mutex, PoisonError},
};

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use ksm_storage::SecretString;

/// The mask, so that only real copies contain the value in clear.
const MASK: u8 = 0xa5;
/// The length of the piece that identifies a copy. Its beginning is often overwritten when it is freed.
const PIECE: usize = 16;
const PAGE: usize = 4096;
const CHUNK: usize = 256 * PAGE;
/// Secondary arenas of glibc's allocator are aligned to this size.
const ARENA: usize = 64 << 20;

/// Serializes searches, because one would find what another has read.
static ALONE: Mutex<()> = Mutex::new(());

/// A value to search for, kept masked so that the search does not find itself.
#[derive(Clone)]
pub(crate) struct Needle {
    /// In clear, and in base64 at each of the three possible offsets.
    masked: Vec<Vec<u8>>,
}

/// A copy that was found.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Found {
    /// The kind of memory.
    pub(crate) place: Place,
    /// The surrounding data, judged by the preceding bytes.
    pub(crate) part_of: PartOf,
    address: usize,
}

/// A kind of memory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    /// Allocator memory, freed or not.
    Heap,
    /// The stack of the thread whose address was given, or of the main thread.
    Stack,
    /// Other anonymous memory, such as stacks of other threads.
    Anonymous,
    /// A mapped file.
    File(String),
}

/// The data that surrounds a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum PartOf {
    /// None; the value stands alone.
    Value,
    /// A JSON document.
    Document,
    /// A JSON document inside a JSON string, as in a request or reply.
    Message,
    /// Base64.
    Base64,
}

impl Needle {
    /// Decodes a value of at least 32 bytes, [`masked`](Self::masked) by another process.
    pub(crate) fn from_masked(hex: &str) -> Self {
        let digits: Vec<_> = hex.chars().filter_map(|digit| digit.to_digit(16)).collect();
        let masked: Vec<_> =
            digits.chunks_exact(2).filter_map(|pair| u8::try_from(pair[0] << 4 | pair[1]).ok()).collect();
        // Three bytes at a time, so that this process never holds the whole value.
        let base64 = (0..3).map(|offset| {
            let aligned = &masked[(3 - offset) % 3..];
            aligned.chunks_exact(3).flat_map(|group| {
                let group = [group[0] ^ MASK, group[1] ^ MASK, group[2] ^ MASK];
                let mut encoded = [0; 4];
                let _ = STANDARD_NO_PAD.encode_slice(group, &mut encoded);
                encoded.map(|byte| byte ^ MASK)
            })
        });
        let base64: Vec<Vec<u8>> = base64.map(Iterator::collect).collect();
        Self { masked: [vec![masked], base64].concat() }
    }

    /// The masked form of a value, in which it is passed to a process.
    pub(crate) fn masked(value: &str) -> String {
        value.bytes().fold(String::new(), |hex, byte| format!("{hex}{:02x}", byte ^ MASK))
    }

    /// The value, in zeroized memory.
    pub(crate) fn reveal(&self) -> SecretString {
        let mut text = String::with_capacity(self.masked[0].len());
        text.extend(self.masked[0].iter().map(|byte| char::from(byte ^ MASK)));
        SecretString::from(text)
    }

    /// Returns true if `text` is the value.
    pub(crate) fn is(&self, text: &str) -> bool {
        text.bytes().map(|byte| byte ^ MASK).eq(self.masked[0].iter().copied())
    }

    fn pieces(&self) -> impl Iterator<Item = Piece<'_>> {
        self.masked.iter().enumerate().flat_map(|(form, masked)| {
            let pieces = masked.chunks_exact(PIECE).enumerate();
            pieces.map(move |(number, masked)| Piece { form, offset: number * PIECE, masked })
        })
    }
}

impl fmt::Debug for Needle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Needle")
    }
}

struct Piece<'a> {
    form: usize,
    offset: usize,
    masked: &'a [u8],
}

impl Piece<'_> {
    fn is_at(&self, memory: &[u8]) -> bool {
        self.masked.iter().zip(memory).all(|(masked, byte)| masked ^ MASK == *byte)
    }
}

/// Searches the memory of this process.
pub(crate) struct Search {
    memory: File,
    /// The only buffer that memory is copied to; matches inside it are ignored.
    buffer: Vec<u8>,
    stack: usize,
}

impl Search {
    /// Creates a search that reports the mapping around the address `stack` as [`Place::Stack`].
    ///
    /// # Errors
    /// If `/proc/self/mem` cannot be opened.
    pub(crate) fn new(stack: usize) -> io::Result<Self> {
        Ok(Self { memory: File::open("/proc/self/mem")?, buffer: vec![0; CHUNK + PAGE], stack })
    }

    /// Finds every copy in memory that is or was writable. Fragments of one copy count as one.
    ///
    /// # Errors
    /// If `/proc/self/maps` cannot be read.
    pub(crate) fn copies(&mut self, needle: &Needle) -> io::Result<Vec<Found>> {
        let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let mut found = BTreeSet::new();
        for (range, place) in self.regions()? {
            for start in range.clone().step_by(CHUNK) {
                // Includes the next page, for copies across the boundary.
                let len = (CHUNK + PAGE).min(range.end - start);
                self.read(start, len);
                self.find(needle, start, len, &place, &mut found);
            }
        }
        self.buffer.fill(0);
        Ok(found.into_iter().collect())
    }

    /// Reads into the buffer. Unreadable pages (guard pages, or pages just unmapped by another thread) are skipped.
    fn read(&mut self, start: usize, len: usize) {
        if self.memory.read_exact_at(&mut self.buffer[..len], start as u64).is_ok() {
            return;
        }
        for (number, page) in self.buffer[..len].chunks_mut(PAGE).enumerate() {
            if self.memory.read_exact_at(page, (start + number * PAGE) as u64).is_err() {
                page.fill(0);
            }
        }
    }

    fn find(&self, needle: &Needle, start: usize, len: usize, place: &Place, found: &mut BTreeSet<Found>) {
        let pieces: Vec<_> = needle.pieces().collect();
        let mut first = [false; 256];
        for piece in &pieces {
            first[usize::from(piece.masked[0] ^ MASK)] = true;
        }
        let own = self.buffer.as_ptr_range();
        let own = own.start.addr()..own.end.addr();
        let memory = &self.buffer[..len];
        for page in (0..len.min(CHUNK)).step_by(PAGE) {
            let end = (page + PAGE).min(len);
            if memory[page..end] == [0; PAGE][..end - page] || own.contains(&(start + page)) {
                continue;
            }
            for at in page..end {
                if !first[usize::from(memory[at])] || own.contains(&(start + at)) {
                    continue;
                }
                for piece in
                    pieces.iter().filter(|piece| memory.len() >= at + PIECE && piece.is_at(&memory[at..]))
                {
                    let address = (start + at).wrapping_sub(piece.offset);
                    let part_of = match piece.form {
                        0 => self.part_of(address),
                        _ => PartOf::Base64,
                    };
                    found.insert(Found { place: place.clone(), part_of, address });
                }
            }
        }
    }

    fn part_of(&self, address: usize) -> PartOf {
        let mut before = [0; 4];
        let read = self.memory.read_exact_at(&mut before, address.wrapping_sub(4) as u64);
        match before {
            _ if read.is_err() => PartOf::Value,
            [.., b'\\', b'"'] => PartOf::Message,
            [.., b':' | b' ' | b',' | b'[' | b'{', b'"'] => PartOf::Document,
            _ => PartOf::Value,
        }
    }

    /// The memory that may have been written to, as listed in `/proc/self/maps`.
    fn regions(&self) -> io::Result<Vec<(Range<usize>, Place)>> {
        let maps = fs::read_to_string("/proc/self/maps")?;
        Ok(maps.lines().filter_map(|line| self.region(line)).collect())
    }

    fn region(&self, line: &str) -> Option<(Range<usize>, Place)> {
        let mut words = line.split_whitespace();
        let (start, end) = words.next()?.split_once('-')?;
        let range = usize::from_str_radix(start, 16).ok()?..usize::from_str_radix(end, 16).ok()?;
        let access = words.next()?;
        let name = words.nth(3).unwrap_or_default();
        let is_file = name.starts_with('/');
        if !access.starts_with('r') || (is_file && !access.starts_with("rw")) || name.starts_with("[v") {
            return None;
        }
        let place = match name {
            "[stack]" => Place::Stack,
            "[heap]" => Place::Heap,
            _ if is_file => Place::File(name.to_owned()),
            _ if range.contains(&self.stack) => Place::Stack,
            _ if range.start.is_multiple_of(ARENA) => Place::Heap,
            _ => Place::Anonymous,
        };
        Some((range, place))
    }
}

impl fmt::Debug for Search {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Search").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use ksm_storage::ExposeSecret;
    use zeroize::Zeroizing;

    use super::*;

    /// A different value for each test, because tests share the memory.
    fn needle() -> Needle {
        let mut value = Zeroizing::new(String::with_capacity(48));
        value.extend(std::iter::repeat_with(fastrand::alphanumeric).take(48));
        Needle::from_masked(&Needle::masked(&value))
    }

    fn found(needle: &Needle) -> Vec<PartOf> {
        Search::new(0).unwrap().copies(needle).unwrap().into_iter().map(|found| found.part_of).collect()
    }

    #[test]
    fn present_copy_is_found() {
        let needle = needle();
        assert_eq!(found(&needle), []);
        let value = needle.reveal();
        assert!(needle.is(value.expose_secret()));
        assert_eq!(found(&needle), [PartOf::Value]);
        drop(value);
        assert_eq!(found(&needle), []);
    }

    #[test]
    fn copy_encodings_are_distinguished() {
        let needle = needle();
        let value = needle.reveal();
        for (before, part_of) in [("{\"url\": \"", PartOf::Document), ("{\\\"url\\\": \\\"", PartOf::Message)]
        {
            let mut text = Zeroizing::new(String::with_capacity(100));
            text.extend([before, value.expose_secret()]);
            let mut expected = [PartOf::Value, part_of];
            expected.sort();
            assert_eq!(found(&needle), expected);
        }
        for offset in 0..3 {
            let mut text = Zeroizing::new(String::with_capacity(100));
            text.extend([&"  "[..offset], value.expose_secret()]);
            let mut encoded = Zeroizing::new(vec![0; 100]);
            STANDARD_NO_PAD.encode_slice(text.as_bytes(), &mut encoded).unwrap();
            assert_eq!(found(&needle), [PartOf::Value, PartOf::Value, PartOf::Base64], "{offset}");
        }
    }

    #[test]
    fn freed_string_is_found() {
        let needle = needle();
        // In the middle of a block whose size the search itself never allocates.
        drop([" ".repeat(500).as_str(), needle.reveal().expose_secret(), &" ".repeat(452)].concat());
        assert_eq!(found(&needle), [PartOf::Value]);
    }
}
