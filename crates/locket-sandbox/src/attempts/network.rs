//! Attempts over sockets: every way to send a few bytes to somebody on this machine, who stands for anybody.

use super::{
    Attempt, Family, Proof, Target, Tried,
    raw::{Errno, NOTHING, at, call, call3, connect, hidden, inet, inet6, into, read, send_to, socket, unix, words, write},
};

const fn canary(name: &'static str, what: &'static str, run: fn(&Target) -> Tried) -> Attempt {
    Attempt {
        name,
        family: Family::Network,
        what,
        proof: Proof::Canary,
        run,
    }
}

const fn by_call(name: &'static str, what: &'static str, run: fn(&Target) -> Tried) -> Attempt {
    Attempt {
        proof: Proof::Call,
        ..canary(name, what, run)
    }
}

/// The family's attempts.
pub(super) const ATTEMPTS: &[Attempt] = &[
    canary("tcp4", "connect over TCP and send", |target| {
        stream(libc::AF_INET, 0, &inet(target.tcp4), target)
    }),
    canary("tcp6", "connect over TCP on IPv6 and send", |target| {
        stream(libc::AF_INET6, 0, &inet6(target.tcp6), target)
    }),
    canary("mptcp", "connect over multipath TCP and send", |target| {
        stream(libc::AF_INET, libc::IPPROTO_MPTCP, &inet(target.tcp4), target)
    }),
    canary("tcp-fast-open", "send with the first packet of a TCP connection", |target| {
        let socket = socket(libc::AF_INET, libc::SOCK_STREAM, 0)?;
        send_to(socket, target.mark(), libc::MSG_FASTOPEN, &inet(target.tcp4))
    }),
    canary("tcp-listen", "listen on a TCP port and wait to be asked", |target| {
        let socket = socket(libc::AF_INET, libc::SOCK_STREAM, 0)?;
        let address = inet(target.listen);
        call3(libc::SYS_bind, socket, at(address.as_slice()), address.len() as u64)?;
        call3(libc::SYS_listen, socket, 1, 0)?;
        Ok(Vec::new())
    }),
    canary("udp4", "send a datagram", |target| {
        let socket = socket(libc::AF_INET, libc::SOCK_DGRAM, 0)?;
        send_to(socket, target.mark(), 0, &inet(target.udp4))
    }),
    canary("udp6", "send a datagram on IPv6", |target| {
        let socket = socket(libc::AF_INET6, libc::SOCK_DGRAM, 0)?;
        send_to(socket, target.mark(), 0, &inet6(target.udp6))
    }),
    canary("udp-connected", "connect a datagram socket and write to it", |target| {
        let socket = socket(libc::AF_INET, libc::SOCK_DGRAM, 0)?;
        connect(socket, &inet(target.udp4))?;
        write(socket, target.mark())
    }),
    canary("udp-sendmsg", "send a datagram as a message of parts", |target| {
        let socket = socket(libc::AF_INET, libc::SOCK_DGRAM, 0)?;
        call3(libc::SYS_sendmsg, socket, at(message(target, &inet(target.udp4)).header()), 0).map(|_| Vec::new())
    }),
    canary("udp-sendmmsg", "send several datagrams in one call", |target| {
        let socket = socket(libc::AF_INET, libc::SOCK_DGRAM, 0)?;
        let message = message(target, &inet(target.udp4));
        call(libc::SYS_sendmmsg, [socket, at(message.header()), 1, 0, 0, 0]).map(|_| Vec::new())
    }),
    canary("udp-lite", "send a datagram with a partial checksum", |target| {
        let socket = socket(libc::AF_INET, libc::SOCK_DGRAM, libc::IPPROTO_UDPLITE)?;
        send_to(socket, target.mark(), 0, &inet(target.udp4))
    }),
    canary("dns", "ask a name server for a name that holds the secret", |target| {
        let socket = socket(libc::AF_INET, libc::SOCK_DGRAM, 0)?;
        send_to(socket, &question(target.mark()), 0, &inet(target.udp4))
    }),
    by_call("ping", "send an echo request and hear the answer", |target| {
        let open = |kind| socket(libc::AF_INET, kind | libc::SOCK_NONBLOCK, libc::IPPROTO_ICMP);
        // Who is in no group that may ping needs the raw one.
        let socket = open(libc::SOCK_DGRAM).or_else(|_| open(libc::SOCK_RAW))?;
        let mut packet = vec![8, 0, 0, 0, 0, 0, 0, 1];
        packet.extend(target.mark());
        send_to(socket, &packet, 0, &inet(0))?;
        read(socket)
    }),
    canary("raw-ip", "send a datagram that is built by hand, on a raw socket", |target| {
        let socket = socket(libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_UDP)?;
        send_to(socket, &datagram(target), 0, &inet(0))
    }),
    by_call("packet", "send a frame that is built by hand, below IP", |target| {
        let socket = socket(libc::AF_PACKET, libc::SOCK_DGRAM, 0)?;
        let mut address = (libc::AF_PACKET as u16).to_ne_bytes().to_vec();
        address.extend(0x0800_u16.to_be_bytes());
        // The loopback interface is the first of every network namespace.
        address.extend(1_u32.to_ne_bytes());
        address.extend([0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0, 0]);
        send_to(socket, &internet(&datagram(target)), 0, &address)
    }),
    canary("unix-stream", "connect to a socket in the file system", |target| {
        stream(libc::AF_UNIX, 0, &unix(&target.unix_stream), target)
    }),
    canary("unix-datagram", "send to a socket in the file system", |target| {
        let socket = socket(libc::AF_UNIX, libc::SOCK_DGRAM, 0)?;
        send_to(socket, target.mark(), 0, &unix(&target.unix_datagram))
    }),
    canary("abstract-stream", "connect to a socket with an abstract name", |target| {
        stream(libc::AF_UNIX, 0, &hidden(&target.abstract_stream), target)
    }),
    canary("abstract-datagram", "send to a socket with an abstract name", |target| {
        let socket = socket(libc::AF_UNIX, libc::SOCK_DGRAM, 0)?;
        send_to(socket, target.mark(), 0, &hidden(&target.abstract_datagram))
    }),
    by_call("netlink", "ask the kernel for interfaces that are up", |_| {
        let socket = socket(libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_ROUTE)?;
        interface_that_is_up(socket)
    }),
    by_call("interface-flags", "ask for the state of the loopback interface", |_| {
        let socket = socket(libc::AF_INET, libc::SOCK_DGRAM, 0)?;
        let mut request = [0_u8; 40];
        request[..2].copy_from_slice(b"lo");
        call3(libc::SYS_ioctl, socket, libc::SIOCGIFFLAGS, into(&mut request))?;
        let flags = i32::from(u16::from_ne_bytes([request[16], request[17]]));
        if flags & libc::IFF_UP == 0 { Err(NOTHING) } else { Ok(Vec::new()) }
    }),
    by_call("vsock", "make a socket to the machine that hosts this one", |_| {
        socket(libc::AF_VSOCK, libc::SOCK_STREAM, 0).map(|_| Vec::new())
    }),
    by_call("xdp", "make a socket that bypasses the network stack", |_| {
        socket(libc::AF_XDP, libc::SOCK_RAW, 0).map(|_| Vec::new())
    }),
    by_call("alg", "make a socket to the kernel's ciphers", |_| {
        socket(libc::AF_ALG, libc::SOCK_SEQPACKET, 0).map(|_| Vec::new())
    }),
];

fn stream(domain: i32, protocol: i32, address: &[u8], target: &Target) -> Tried {
    let socket = socket(domain, libc::SOCK_STREAM, protocol)?;
    connect(socket, address)?;
    write(socket, target.mark())
}

/// `mmsghdr` with all that it points to.
struct Message {
    header: Vec<u64>,
    _part: Vec<u64>,
    _address: Vec<u8>,
}

impl Message {
    fn header(&self) -> &[u64] {
        &self.header
    }
}

fn message(target: &Target, address: &[u8]) -> Message {
    let part = words(&[at(target.mark()), target.mark().len() as u64]);
    let address = address.to_vec();
    Message {
        header: words(&[at(address.as_slice()), address.len() as u64, at(part.as_slice()), 1, 0, 0, 0, 0]),
        _part: part,
        _address: address,
    }
}

/// A question for the addresses of a name.
pub(super) fn question(label: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x10, 0x01, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, label.len() as u8];
    packet.extend(label);
    packet.extend(b"\x07example\x00\x00\x01\x00\x01");
    packet
}

/// A UDP datagram to the sink, without a checksum.
fn datagram(target: &Target) -> Vec<u8> {
    let mut bytes = Vec::new();
    for word in [9, target.udp4, (8 + target.mark().len()) as u16, 0] {
        bytes.extend(word.to_be_bytes());
    }
    bytes.extend(target.mark());
    bytes
}

/// An IP packet of this machine to itself around a datagram.
fn internet(datagram: &[u8]) -> Vec<u8> {
    let length = (20 + datagram.len()) as u16;
    let mut bytes = vec![0x45, 0];
    bytes.extend(length.to_be_bytes());
    bytes.extend([0, 1, 0, 0, 64, 17, 0, 0, 127, 0, 0, 1, 127, 0, 0, 1]);
    let sum: u32 = bytes
        .chunks_exact(2)
        .map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])))
        .sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    bytes[10..12].copy_from_slice(&(!(folded as u16)).to_be_bytes());
    bytes.extend(datagram);
    bytes
}

/// Dumps the links and looks for one that is up: in an empty namespace there is none.
fn interface_that_is_up(socket: u64) -> Tried {
    const LINK_DUMP: u16 = 18;
    let mut request = Vec::new();
    request.extend(32_u32.to_ne_bytes());
    request.extend(LINK_DUMP.to_ne_bytes());
    request.extend(((libc::NLM_F_REQUEST | libc::NLM_F_DUMP) as u16).to_ne_bytes());
    request.extend([0; 24]);
    let address = [(libc::AF_NETLINK as u16).to_ne_bytes().as_slice(), &[0; 10]].concat();
    send_to(socket, &request, 0, &address)?;
    let answer = read(socket)?;
    let mut rest = answer.as_slice();
    while let Some((length, flags)) = link(rest) {
        if flags & libc::IFF_UP.cast_unsigned() != 0 {
            return Ok(Vec::new());
        }
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Err::<Vec<u8>, Errno>(NOTHING)
}

/// Length and flags of the first link of an answer: flags lie behind the message's header and eight bytes.
fn link(bytes: &[u8]) -> Option<(usize, u32)> {
    let word = |at: usize| Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    let length = word(0)? as usize;
    (length >= 32).then_some((length, word(24)?))
}
