//! Counts how often files are opened, by any process.

use std::path::Path;

use rustix::fs::inotify::{CreateFlags, Reader, WatchFlags, add_watch, init};

/// Watches files from its creation on.
pub(crate) struct Watch {
    kernel: std::os::fd::OwnedFd,
    files: Vec<i32>,
}

impl Watch {
    pub(crate) fn new<P: AsRef<Path>>(files: impl IntoIterator<Item = P>) -> Self {
        let kernel = init(CreateFlags::NONBLOCK).unwrap();
        let watch = |file: P| add_watch(&kernel, file.as_ref(), WatchFlags::OPEN).unwrap();
        let files = files.into_iter().map(watch).collect();
        Self { kernel, files }
    }

    /// The number of times that each file was opened since the last call.
    pub(crate) fn opened(&self) -> Vec<usize> {
        let mut buffer = [std::mem::MaybeUninit::uninit(); 1024];
        let mut reader = Reader::new(&self.kernel, &mut buffer);
        let mut counts = vec![0; self.files.len()];
        // Ends with an error when no event is left.
        while let Ok(event) = reader.next() {
            let file = self.files.iter().position(|file| *file == event.wd()).unwrap();
            counts[file] += 1;
        }
        counts
    }
}
