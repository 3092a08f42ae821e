//! Mistakes that a well-meant program makes: it sends, writes or shows what it works on, not to harm anybody.
//!
//! Where the standard library has what a programmer would use, that is used; but sockets and processes are made by number, so that a
//! program with these mistakes in it still imports no network function (the standard library talks to new processes over a socket).

use std::{
    env, fs,
    fs::OpenOptions,
    io::{self, Write},
    os::fd::AsRawFd,
    panic::{catch_unwind, set_hook, take_hook},
    thread,
};

use super::{
    Target,
    network::question,
    raw::{Errno, at, call3, connect, end_child, hidden, inet, name, own, path, send_to, socket, unix, wait_for, write},
};
use crate::broker::FIRST_LEAK;

/// Bytes of the content that a mistake carries off: more than a picture needs to be told by, less than a socket's buffer.
const CARRIED: usize = 4096;

/// Something that a program does by mistake with what it works on.
#[derive(Clone, Copy)]
pub struct Mistake {
    /// Short and unique.
    pub name: &'static str,
    /// One sentence for a reader.
    pub what: &'static str,
    run: fn(&Target, &[u8]),
}

impl std::fmt::Debug for Mistake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

impl Mistake {
    /// Makes it, here and now. What comes of it the canaries tell.
    pub(crate) fn make(&self, target: &Target, content: &[u8]) {
        (self.run)(target, &content[..content.len().min(CARRIED)]);
    }
}

const fn mistake(name: &'static str, what: &'static str, run: fn(&Target, &[u8])) -> Mistake {
    Mistake { name, what, run }
}

/// All of them.
pub(crate) const MISTAKES: &[Mistake] = &[
    mistake("telemetry", "post an event with the picture to a collector over TCP", |target, content| {
        let head = format!("POST /events HTTP/1.1\r\nContent-Length: {}\r\n\r\n", content.len());
        let _ = stream(target.tcp4, &[head.as_bytes(), target.mark(), content]);
    }),
    mistake("counter", "send a datagram to a counter of events", |target, content| {
        let _ = datagram(target.udp4, &[target.mark(), b"|c|#", content].concat());
    }),
    mistake("background", "send a datagram from a thread in the background", |target, content| {
        let (port, bytes) = (target.udp4, [target.mark(), content].concat());
        let thread = thread::Builder::new().spawn(move || datagram(port, &bytes).is_ok());
        if let Ok(thread) = thread {
            let _ = thread.join();
        }
    }),
    mistake("name-look-up", "look up the name of a server that holds the picture's hash", |target, _| {
        let _ = datagram(target.udp4, &question(target.mark()));
    }),
    mistake("proxy", "honour the proxy that the environment names", |target, content| {
        let port = env::var("http_proxy").ok().and_then(|url| url.rsplit_once(':')?.1.parse().ok());
        if let Some(port) = port {
            let _ = stream(port, &[b"CONNECT photos:443 HTTP/1.1\r\n\r\n", target.mark(), content]);
        }
    }),
    mistake("system-log", "send a line to the system's log", |target, content| {
        let line = [b"<14>locket: ", target.mark(), content].concat();
        let _ = socket(libc::AF_UNIX, libc::SOCK_DGRAM, 0)
            .map(own)
            .and_then(|socket| send_to(socket.as_raw_fd() as u64, &line, 0, &unix(&target.unix_datagram)));
    }),
    mistake("message-bus", "tell the desktop over its message bus", |target, content| {
        let _ = socket(libc::AF_UNIX, libc::SOCK_STREAM, 0).map(own).and_then(|socket| {
            let number = socket.as_raw_fd() as u64;
            connect(number, &hidden(&target.abstract_stream))?;
            write(number, &[target.mark(), content].concat())
        });
    }),
    mistake("crash-report", "write what it worked on into a report when it panics", |target, content| {
        let (path, report) = (target.file("crash.dmp"), [target.mark(), content].concat());
        let before = take_hook();
        set_hook(Box::new(move |_| {
            let _ = fs::write(&path, &report);
        }));
        let _ = catch_unwind(|| panic!("a mistake that is made on purpose"));
        set_hook(before);
    }),
    mistake("log-file", "append to a log file", |target, content| {
        let log = OpenOptions::new().create(true).append(true).open(target.file("locket.log"));
        let _ = log.and_then(|mut log| log.write_all(&[target.mark(), content].concat()));
    }),
    mistake("log-line", "print what it works on to standard error", |target, content| {
        let _ = io::stderr().write_all(&[target.mark(), content, b"\n"].concat());
    }),
    mistake("thumbnail", "keep a small picture in a cache of files", |target, content| {
        let _ = fs::write(target.file("thumbnail.cache"), [target.mark(), content].concat());
    }),
    mistake("shared-cache", "keep it in memory that other programs share", |target, content| {
        let _ = fs::write(&target.shm_file, [target.mark(), content].concat());
    }),
    mistake("helper", "have another program store it", |target, _| {
        let script = format!("printf %s {} > {}", target.text(), target.file("helper.out"));
        let _ = helper(&script);
    }),
    mistake("queue", "put it into the upload queue that was left open", |target, content| {
        let _ = write(FIRST_LEAK as u64, &[target.mark(), content].concat());
    }),
];

fn stream(port: u16, parts: &[&[u8]]) -> Result<(), Errno> {
    let socket = own(socket(libc::AF_INET, libc::SOCK_STREAM, 0)?);
    let number = socket.as_raw_fd() as u64;
    connect(number, &inet(port))?;
    write(number, &parts.concat()).map(drop)
}

fn datagram(port: u16, bytes: &[u8]) -> Result<(), Errno> {
    let socket = own(socket(libc::AF_INET, libc::SOCK_DGRAM, 0)?);
    send_to(socket.as_raw_fd() as u64, bytes, 0, &inet(port)).map(drop)
}

/// Has a shell run something, and waits for it.
fn helper(script: &str) -> Result<(), Errno> {
    let (shell, option, script) = (path("/bin/sh"), path("-c"), path(script));
    let arguments = [name(&shell), name(&option), name(&script), 0];
    match call3(libc::SYS_fork, 0, 0, 0)? {
        0 => {
            let _ = call3(libc::SYS_execve, name(&shell), at(&arguments), 0);
            end_child()
        }
        child => wait_for(child),
    }
    Ok(())
}
