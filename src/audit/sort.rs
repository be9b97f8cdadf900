//! Sorting more fixed-size records than memory should hold: sorted runs in a temporary folder, then a merge.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

/// Most runs that are merged at once; more are merged in rounds.
const FAN_IN: usize = 64;
/// Bytes that a run is read and written with.
const BUFFER: usize = 1 << 17;

/// Records of `N` bytes, to be given back in ascending order of their bytes.
#[derive(Debug)]
pub struct Sorter<const N: usize> {
    held: Vec<[u8; N]>,
    /// Records that memory may hold.
    budget: usize,
    dir: Option<PathBuf>,
    parent: PathBuf,
    runs: Vec<PathBuf>,
    made: u64,
    count: u64,
}

impl<const N: usize> Sorter<N> {
    /// A sorter that holds at most `budget` bytes of records in memory; what is more lies in a folder of its own below
    /// `parent` until the sorter and what it gave are dropped.
    #[must_use]
    pub fn new(parent: &Path, budget: usize) -> Self {
        Self {
            held: Vec::new(),
            budget: (budget / N.max(1)).max(2),
            dir: None,
            parent: parent.to_owned(),
            runs: Vec::new(),
            made: 0,
            count: 0,
        }
    }

    /// Takes a record.
    ///
    /// # Errors
    /// When a run cannot be written.
    pub fn push(&mut self, record: [u8; N]) -> io::Result<()> {
        if self.held.len() >= self.budget {
            self.spill()?;
        }
        self.held.push(record);
        self.count += 1;
        Ok(())
    }

    /// How many records were taken.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.count
    }

    /// Whether none was taken.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    fn next_path(&mut self) -> io::Result<PathBuf> {
        let dir = match &self.dir {
            Some(dir) => dir.clone(),
            None => {
                let dir = private_dir(&self.parent)?;
                self.dir = Some(dir.clone());
                dir
            }
        };
        self.made += 1;
        Ok(dir.join(format!("{}.run", self.made)))
    }

    fn spill(&mut self) -> io::Result<()> {
        self.held.sort_unstable();
        let path = self.next_path()?;
        let mut out = BufWriter::with_capacity(BUFFER, File::create(&path)?);
        self.held.iter().try_for_each(|r| out.write_all(r))?;
        out.flush()?;
        self.runs.push(path);
        self.held.clear();
        Ok(())
    }

    /// Gives all records, sorted.
    ///
    /// # Errors
    /// When a run cannot be read or written.
    pub fn finish(mut self) -> io::Result<Sorted<N>> {
        self.held.sort_unstable();
        while self.runs.len() > FAN_IN {
            let rest = self.runs.split_off(FAN_IN);
            let first = std::mem::replace(&mut self.runs, rest);
            let path = self.next_path()?;
            let mut out = BufWriter::with_capacity(BUFFER, File::create(&path)?);
            let mut merged = Merge::<N>::new(&first, Vec::new())?;
            while let Some(record) = merged.next()? {
                out.write_all(&record)?;
            }
            out.flush()?;
            first.iter().try_for_each(fs::remove_file)?;
            self.runs.push(path);
        }
        let held = std::mem::take(&mut self.held);
        let merge = Merge::new(&self.runs, held)?;
        Ok(Sorted {
            merge,
            _dir: Cleanup(self.dir.take()),
        })
    }
}

impl<const N: usize> Drop for Sorter<N> {
    fn drop(&mut self) {
        drop(Cleanup(self.dir.take()));
    }
}

/// Sorted records, read one after the other.
#[derive(Debug)]
pub struct Sorted<const N: usize> {
    merge: Merge<N>,
    _dir: Cleanup,
}

impl<const N: usize> Sorted<N> {
    /// The next record.
    ///
    /// # Errors
    /// When a run cannot be read.
    #[expect(
        clippy::should_implement_trait,
        reason = "it can fail, and stops nowhere silently"
    )]
    pub fn next(&mut self) -> io::Result<Option<[u8; N]>> {
        self.merge.next()
    }
}

#[derive(Debug)]
struct Merge<const N: usize> {
    runs: Vec<BufReader<File>>,
    held: std::vec::IntoIter<[u8; N]>,
    heap: BinaryHeap<Reverse<([u8; N], usize)>>,
}

impl<const N: usize> Merge<N> {
    fn new(paths: &[PathBuf], held: Vec<[u8; N]>) -> io::Result<Self> {
        let mut runs = Vec::new();
        for path in paths {
            runs.push(BufReader::with_capacity(BUFFER, File::open(path)?));
        }
        let mut merge = Self {
            runs,
            held: held.into_iter(),
            heap: BinaryHeap::new(),
        };
        if !merge.runs.is_empty() {
            for run in 0..=merge.runs.len() {
                merge.refill(run)?;
            }
        }
        Ok(merge)
    }

    /// Puts the next record of a run on the heap; the last run is what memory holds.
    fn refill(&mut self, run: usize) -> io::Result<()> {
        let record = match self.runs.get_mut(run) {
            Some(file) => read_record(file)?,
            None => self.held.next(),
        };
        if let Some(record) = record {
            self.heap.push(Reverse((record, run)));
        }
        Ok(())
    }

    fn next(&mut self) -> io::Result<Option<[u8; N]>> {
        if self.runs.is_empty() {
            return Ok(self.held.next());
        }
        let Some(Reverse((record, run))) = self.heap.pop() else {
            return Ok(None);
        };
        self.refill(run)?;
        Ok(Some(record))
    }
}

/// A whole record, or the end; half a record is an error.
fn read_record<const N: usize>(file: &mut BufReader<File>) -> io::Result<Option<[u8; N]>> {
    let mut record = [0; N];
    let mut have = 0;
    while have < N {
        match file.read(&mut record[have..])? {
            0 if have == 0 => return Ok(None),
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            n => have += n,
        }
    }
    Ok(Some(record))
}

/// A new folder that only its owner can enter: the records tell which entries belong together.
fn private_dir(parent: &Path) -> io::Result<PathBuf> {
    use std::os::unix::fs::DirBuilderExt;
    let mut name = [0; 16];
    getrandom::fill(&mut name).map_err(io::Error::other)?;
    let dir = parent.join(format!("whereas-audit-{}", hex::encode(name)));
    fs::DirBuilder::new().mode(0o700).create(&dir)?;
    Ok(dir)
}

/// Takes the runs away at the end.
#[derive(Debug)]
struct Cleanup(Option<PathBuf>);

impl Drop for Cleanup {
    fn drop(&mut self) {
        if let Some(dir) = &self.0
            && let Err(e) = fs::remove_dir_all(dir)
        {
            tracing::warn!(component = "audit", error = %e, dir = %dir.display(), "a temporary folder could not be removed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Records, and how many runs they came from.
    type Given = (Vec<[u8; 4]>, usize);

    fn sorted(records: &[[u8; 4]], budget: usize) -> Result<Given, Box<dyn std::error::Error>> {
        let dir = tempfile::tempdir()?;
        let mut sorter = Sorter::new(dir.path(), budget);
        records.iter().try_for_each(|r| sorter.push(*r))?;
        let runs = sorter.runs.len();
        let mut sorted = sorter.finish()?;
        let mut out = Vec::new();
        while let Some(record) = sorted.next()? {
            out.push(record);
        }
        drop(sorted);
        assert_eq!(
            fs::read_dir(dir.path())?.count(),
            0,
            "nothing is left behind"
        );
        Ok((out, runs))
    }

    proptest! {
        #[test]
        fn any_budget_gives_the_same_order(records in proptest::collection::vec(any::<[u8; 4]>(), 0..400), budget in 1..64_usize) {
            let mut want = records.clone();
            want.sort_unstable();
            let (got, _) = sorted(&records, budget).map_err(|e| TestCaseError::fail(e.to_string()))?;
            prop_assert_eq!(got, want);
        }
    }

    #[test]
    fn more_runs_than_are_merged_at_once() -> Result<(), Box<dyn std::error::Error>> {
        let records: Vec<[u8; 4]> = (0..1_000_u32)
            .map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes())
            .collect();
        let mut want = records.clone();
        want.sort_unstable();
        let (got, runs) = sorted(&records, 8)?;
        assert!(runs > 2 * FAN_IN, "{runs}");
        assert_eq!(got, want);
        Ok(())
    }

    #[test]
    fn a_run_cut_short_is_an_error() -> Result<(), Box<dyn std::error::Error>> {
        let dir = tempfile::tempdir()?;
        let mut sorter = Sorter::<4>::new(dir.path(), 8);
        (0..5_u32).try_for_each(|n| sorter.push(n.to_be_bytes()))?;
        let run = sorter.runs.first().cloned().ok_or("a run")?;
        File::options().write(true).open(run)?.set_len(6)?;
        let mut sorted = sorter.finish()?;
        let mut all = Ok(Some([0; 4]));
        while let Ok(Some(_)) = all {
            all = sorted.next();
        }
        assert!(all.is_err());
        Ok(())
    }
}
