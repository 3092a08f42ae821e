//! Attempts on files: the folder of the canaries is watched, and one file there holds the secret.

use super::{
    Attempt, Family, Proof, Target, Tried,
    raw::{HERE, NOTHING, at, call, call3, into, name, open, path, read, write},
};

const fn canary(name: &'static str, what: &'static str, run: fn(&Target) -> Tried) -> Attempt {
    Attempt {
        name,
        family: Family::Files,
        what,
        proof: Proof::Canary,
        run,
    }
}

const fn secret(name: &'static str, what: &'static str, run: fn(&Target) -> Tried) -> Attempt {
    Attempt {
        proof: Proof::Secret,
        ..canary(name, what, run)
    }
}

const fn by_call(name: &'static str, what: &'static str, run: fn(&Target) -> Tried) -> Attempt {
    Attempt {
        proof: Proof::Call,
        ..canary(name, what, run)
    }
}

/// `struct open_how` of `openat2`.
fn how(flags: i32, mode: u64) -> [u64; 3] {
    [flags as u64, mode, 0]
}

/// The family's attempts.
pub(super) const ATTEMPTS: &[Attempt] = &[
    secret("read", "open a file and read it", |target| {
        read(open(&target.file("secret"), libc::O_RDONLY, 0)?)
    }),
    secret("read-relative", "change the folder and read a file in it", |target| {
        let folder = path(&target.folder);
        call3(libc::SYS_chdir, name(&folder), 0, 0)?;
        read(open("secret", libc::O_RDONLY, 0)?)
    }),
    secret("read-openat2", "open a file with the newer call and read it", |target| {
        let file = path(&target.file("secret"));
        let how = how(libc::O_RDONLY, 0);
        read(call(libc::SYS_openat2, [HERE, name(&file), at(&how), 24, 0, 0])?)
    }),
    canary("create", "create a file", |target| {
        write(
            open(&target.file(&target.text()), libc::O_CREAT | libc::O_WRONLY, 0o644)?,
            target.mark(),
        )
    }),
    canary("create-old", "create a file with the older call", |target| {
        let file = path(&target.file(&target.text()));
        call3(libc::SYS_creat, name(&file), 0o644, 0).map(|_| Vec::new())
    }),
    canary("create-temporary", "write a file without a name and give it one", |target| {
        let file = open(&target.folder, libc::O_TMPFILE | libc::O_WRONLY, 0o644)?;
        write(file, target.mark())?;
        let from = path(&format!("/proc/self/fd/{file}"));
        let to = path(&target.file(&target.text()));
        let follow = libc::AT_SYMLINK_FOLLOW as u64;
        call(libc::SYS_linkat, [HERE, name(&from), HERE, name(&to), follow, 0]).map(|_| Vec::new())
    }),
    canary("write", "write to a file that is there", |target| {
        write(open(&target.file("open"), libc::O_WRONLY, 0)?, target.mark())
    }),
    canary("append", "append to a file", |target| {
        let flags = libc::O_WRONLY | libc::O_APPEND;
        let file = path(&target.file("open"));
        let how = how(flags, 0);
        write(
            call(libc::SYS_openat2, [HERE, name(&file), at(&how), 24, 0, 0])?,
            target.mark(),
        )
    }),
    canary("truncate", "cut a file short", |target| {
        let file = path(&target.file("open"));
        call3(libc::SYS_truncate, name(&file), 1, 0).map(|_| Vec::new())
    }),
    canary("folder", "make a folder", |target| {
        let folder = path(&target.file(&target.text()));
        call3(libc::SYS_mkdir, name(&folder), 0o755, 0).map(|_| Vec::new())
    }),
    canary("symbolic-link", "make a symbolic link whose target is the secret", |target| {
        let (to, from) = (path(&target.text()), path(&target.file("link")));
        call3(libc::SYS_symlink, name(&to), name(&from), 0).map(|_| Vec::new())
    }),
    canary("hard-link", "give a file a second name", |target| {
        let (from, to) = (path(&target.file("open")), path(&target.file(&target.text())));
        call3(libc::SYS_link, name(&from), name(&to), 0).map(|_| Vec::new())
    }),
    canary("rename", "rename a file", |target| {
        let (from, to) = (path(&target.file("open")), path(&target.file(&target.text())));
        call(libc::SYS_renameat2, [HERE, name(&from), HERE, name(&to), 0, 0]).map(|_| Vec::new())
    }),
    canary("remove", "remove a file", |target| {
        let file = path(&target.file("open"));
        call3(libc::SYS_unlink, name(&file), 0, 0).map(|_| Vec::new())
    }),
    canary("node", "make a named pipe", |target| {
        let node = path(&target.file(&target.text()));
        call3(libc::SYS_mknod, name(&node), (libc::S_IFIFO | 0o644).into(), 0).map(|_| Vec::new())
    }),
    canary("mode", "signal through the permissions of a file", |target| {
        let file = path(&target.file("open"));
        call3(libc::SYS_chmod, name(&file), 0o751, 0).map(|_| Vec::new())
    }),
    canary("times", "signal through the times of a file", |target| {
        let file = path(&target.file("open"));
        let times = [1_u64, 0, 1, 0];
        call(libc::SYS_utimensat, [HERE, name(&file), at(&times), 0, 0, 0]).map(|_| Vec::new())
    }),
    canary("attribute", "signal through an attribute of a file", |target| {
        let (file, key) = (path(&target.file("open")), path("user.locket"));
        let value = target.mark();
        call(
            libc::SYS_setxattr,
            [name(&file), name(&key), at(value), value.len() as u64, 0, 0],
        )
        .map(|_| Vec::new())
    }),
    by_call("size", "learn the size of a file", |target| {
        let file = path(&target.file("secret"));
        let mut stat = [0_u64; 18];
        call3(libc::SYS_stat, name(&file), into(&mut stat), 0).map(|_| Vec::new())
    }),
    by_call("statx", "learn the size of a file with the newer call", |target| {
        let file = path(&target.file("secret"));
        let mut stat = [0_u64; 32];
        call(libc::SYS_statx, [HERE, name(&file), 0, 0x7ff, into(&mut stat), 0]).map(|_| Vec::new())
    }),
    by_call("access", "learn whether a file is there", |target| {
        let file = path(&target.file("secret"));
        call3(libc::SYS_access, name(&file), 0, 0).map(|_| Vec::new())
    }),
    by_call("list", "list a folder", |target| {
        let folder = open(&target.folder, libc::O_RDONLY | libc::O_DIRECTORY, 0)?;
        let mut entries = vec![0_u8; 4096];
        let length = call3(libc::SYS_getdents64, folder, into(entries.as_mut_slice()), 4096)?;
        let seen = entries[..length as usize].windows(6).any(|part| part == b"secret");
        if seen { Ok(Vec::new()) } else { Err(NOTHING) }
    }),
    by_call("watch", "watch a folder for what others do", |target| {
        let watcher = call3(libc::SYS_inotify_init1, 0, 0, 0)?;
        let folder = path(&target.folder);
        call3(libc::SYS_inotify_add_watch, watcher, name(&folder), 0xfff).map(|_| Vec::new())
    }),
    secret("by-handle", "open a file by the handle of its inode", |target| {
        let file = path(&target.file("secret"));
        let mut handle = [0_u32; 34];
        handle[0] = 128;
        let mut mount = 0_i32;
        call(
            libc::SYS_name_to_handle_at,
            [HERE, name(&file), into(&mut handle), into(&mut mount), 0, 0],
        )?;
        let folder = open(&target.folder, libc::O_RDONLY, 0)?;
        read(call3(libc::SYS_open_by_handle_at, folder, at(&handle), 0)?)
    }),
    by_call("boot-id", "read what identifies this machine", |_| {
        read(open("/proc/sys/kernel/random/boot_id", libc::O_RDONLY, 0)?)
    }),
    by_call("file-system", "learn how full the disk is", |target| {
        let folder = path(&target.folder);
        let mut stat = [0_u64; 16];
        call3(libc::SYS_statfs, name(&folder), into(&mut stat), 0)?;
        // The empty root is smaller than any disk.
        if stat[2] > 64 { Ok(Vec::new()) } else { Err(NOTHING) }
    }),
    canary("pipe", "write to a named pipe that somebody reads", |target| {
        write(open(&target.fifo, libc::O_WRONLY | libc::O_NONBLOCK, 0)?, target.mark())
    }),
    canary("shared-map", "map a file and write to the memory", |target| {
        let file = open(&target.file("open"), libc::O_RDWR, 0)?;
        let both = (libc::PROT_READ | libc::PROT_WRITE) as u64;
        let memory = call(libc::SYS_mmap, [0, 4096, both, libc::MAP_SHARED as u64, file, 0])?;
        super::raw::poke(memory, target.mark());
        Ok(Vec::new())
    }),
    by_call("lock", "signal through the lock of a file", |target| {
        let file = open(&target.file("open"), libc::O_RDWR, 0)?;
        call3(libc::SYS_flock, file, libc::LOCK_EX as u64, 0).map(|_| Vec::new())
    }),
];
