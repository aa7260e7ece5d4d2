//! Files that are whole under their name, or not there.

use std::{
    fs, io,
    io::Write as _,
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
};

/// Writes a file so that under its name there is either all of it or what was there before, also after a
/// power cut, and whoever else writes the same file at the same time.
///
/// # Errors
/// The disk does not take it; then nothing is left behind.
pub fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    // A process that died may have left one under our number.
    let aside = path.with_extension(format!("{}-{count}.part", std::process::id()));
    let written = fs::File::create(&aside).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&aside, path)?;
        fs::File::open(folder)?.sync_all()
    });
    if written.is_err() {
        // Gone already when only the folder could not be synchronised; the first error is the one to tell.
        let _removed = fs::remove_file(&aside).is_ok();
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_writers_of_one_name_leave_one_whole_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sound");
        std::thread::scope(|scope| {
            for writer in 0..8_u8 {
                let path = &path;
                scope.spawn(move || {
                    for _ in 0..5 {
                        write_whole(path, &vec![writer; 100_000]).unwrap();
                    }
                });
            }
        });
        let bytes = fs::read(&path).unwrap();
        assert_eq!(bytes.len(), 100_000);
        assert!(bytes.iter().all(|byte| *byte == bytes[0]));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_write_that_fails_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("taken");
        fs::create_dir_all(path.join("full")).unwrap();
        assert!(write_whole(&path, b"sound").is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
