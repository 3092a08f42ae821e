//! Sockets and pipes outside that take what arrives.

use std::{
    io,
    os::fd::{AsRawFd, OwnedFd},
    path::Path,
};

use super::raw::{
    Errno, at, call, call3, connect, hidden, inet, inet6, into, name, own, path, read, socket, unix,
};

/// Everything open is closed on exec and does not block.
const QUIET: i32 = libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;

/// A socket that waits.
#[derive(Debug)]
pub(super) struct Sink {
    socket: Option<OwnedFd>,
    pub(super) port: u16,
    pub(super) name: String,
    stream: bool,
}

/// All of them.
#[derive(Debug)]
pub(super) struct Sinks {
    pub(super) tcp4: Sink,
    pub(super) tcp6: Sink,
    pub(super) udp4: Sink,
    pub(super) udp6: Sink,
    pub(super) unix_stream: Sink,
    pub(super) unix_datagram: Sink,
    pub(super) abstract_stream: Sink,
    pub(super) abstract_datagram: Sink,
    /// A port on which a worker may listen.
    pub(super) listen: u16,
    pub(super) fifo_name: String,
    fifo: OwnedFd,
    pipe_out: OwnedFd,
    pub(super) pipe_in: OwnedFd,
    socket_out: OwnedFd,
    pub(super) socket_in: OwnedFd,
}

fn io(error: Errno) -> io::Error {
    io::Error::from_raw_os_error(error.0)
}

impl Sink {
    /// Without IPv6, say, there is no sink: then what is sent there is not testable.
    fn new(domain: i32, kind: i32, address: &[u8], name: &str) -> Self {
        let stream = kind == libc::SOCK_STREAM;
        let open = || -> Result<(OwnedFd, u16), Errno> {
            let socket = own(socket(domain, kind | QUIET, 0)?);
            let number = socket.as_raw_fd() as u64;
            call3(libc::SYS_bind, number, at(address), address.len() as u64)?;
            if stream {
                call3(libc::SYS_listen, number, 16, 0)?;
            }
            let mut found = [0_u8; 128];
            let mut length = 128_u32;
            call3(libc::SYS_getsockname, number, into(&mut found), into(&mut length))?;
            Ok((socket, u16::from_be_bytes([found[2], found[3]])))
        };
        let (socket, port) = match open() {
            Ok((socket, port)) => (Some(socket), port),
            Err(_) => (None, 0),
        };
        Self {
            socket,
            port,
            name: name.to_owned(),
            stream,
        }
    }

    fn collect(&self, all: &mut Vec<u8>) {
        let Some(socket) = &self.socket else { return };
        let socket = socket.as_raw_fd() as u64;
        if !self.stream {
            drain(socket, all);
            return;
        }
        while let Ok(peer) = call(libc::SYS_accept4, [socket, 0, 0, QUIET as u64, 0, 0]) {
            let peer = own(peer);
            drain(peer.as_raw_fd() as u64, all);
        }
    }
}

/// Reads until there is nothing more.
fn drain(descriptor: u64, all: &mut Vec<u8>) {
    while let Ok(bytes) = read(descriptor) {
        if bytes.is_empty() {
            break;
        }
        all.extend(bytes);
    }
}

impl Sinks {
    pub(super) fn open(place: &Path, label: &str) -> io::Result<Self> {
        let (stream, datagram) = (libc::SOCK_STREAM, libc::SOCK_DGRAM);
        let file = |name: &str| place.join(name).to_string_lossy().into_owned();
        let in_folder = |kind, name: &str| {
            let sink = Sink::new(libc::AF_UNIX, kind, &unix(&file(name)), &file(name));
            let socket = path(&file(name));
            let _ = call3(libc::SYS_chmod, super::raw::name(&socket), 0o777, 0);
            sink
        };
        let without_file = |kind, name: &str| {
            let name = format!("{label}-{name}");
            Sink::new(libc::AF_UNIX, kind, &hidden(&name), &name)
        };
        // A port that was just free; the sink that found it is closed again.
        let listen = Sink::new(libc::AF_INET, stream, &inet(0), "").port;
        let fifo_name = file("fifo");
        let fifo_path = path(&fifo_name);
        call3(libc::SYS_mknod, name(&fifo_path), (libc::S_IFIFO | 0o666).into(), 0).map_err(io)?;
        call3(libc::SYS_chmod, name(&fifo_path), 0o666, 0).map_err(io)?;
        let quiet = libc::O_NONBLOCK | libc::O_CLOEXEC;
        let fifo = own(super::raw::open(&fifo_name, libc::O_RDONLY | quiet, 0).map_err(io)?);
        let mut ends = [0_i32; 2];
        call3(libc::SYS_pipe2, into(&mut ends), quiet as u64, 0).map_err(io)?;
        let [pipe_out, pipe_in] = ends.map(|end| own(end as u64));
        let kind = (stream | QUIET) as u64;
        call(
            libc::SYS_socketpair,
            [libc::AF_UNIX as u64, kind, 0, into(&mut ends), 0, 0],
        )
        .map_err(io)?;
        let [socket_out, socket_in] = ends.map(|end| own(end as u64));
        Ok(Self {
            tcp4: Sink::new(libc::AF_INET, stream, &inet(0), ""),
            tcp6: Sink::new(libc::AF_INET6, stream, &inet6(0), ""),
            udp4: Sink::new(libc::AF_INET, datagram, &inet(0), ""),
            udp6: Sink::new(libc::AF_INET6, datagram, &inet6(0), ""),
            unix_stream: in_folder(stream, "stream"),
            unix_datagram: in_folder(datagram, "datagram"),
            abstract_stream: without_file(stream, "stream"),
            abstract_datagram: without_file(datagram, "datagram"),
            listen,
            fifo_name,
            fifo,
            pipe_out,
            pipe_in,
            socket_out,
            socket_in,
        })
    }

    /// A socket that is connected to the sink of datagrams.
    pub(super) fn udp_client(&self) -> io::Result<OwnedFd> {
        let client = own(socket(libc::AF_INET, libc::SOCK_DGRAM | QUIET, 0).map_err(io)?);
        connect(client.as_raw_fd() as u64, &inet(self.udp4.port)).map_err(io)?;
        Ok(client)
    }

    /// True if somebody listens on the port where nobody did.
    pub(super) fn is_listened_to(&self) -> bool {
        socket(libc::AF_INET, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0).is_ok_and(|number| {
            let socket = own(number);
            connect(socket.as_raw_fd() as u64, &inet(self.listen)).is_ok()
        })
    }

    /// Everything that arrived since the last time.
    pub(super) fn collect(&self) -> Vec<u8> {
        let mut all = Vec::new();
        for sink in [
            &self.tcp4,
            &self.tcp6,
            &self.udp4,
            &self.udp6,
            &self.unix_stream,
            &self.unix_datagram,
            &self.abstract_stream,
            &self.abstract_datagram,
        ] {
            sink.collect(&mut all);
        }
        for descriptor in [&self.fifo, &self.pipe_out, &self.socket_out] {
            drain(descriptor.as_raw_fd() as u64, &mut all);
        }
        all
    }
}
