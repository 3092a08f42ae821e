//! Where the canaries are: what an attempt is told.

macro_rules! target {
    ($($(#[$doc:meta])* $field:ident: $kind:ty,)*) => {
        /// Addresses of the canaries.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub(crate) struct Target {
            $($(#[$doc])* pub(crate) $field: $kind,)*
        }

        impl Target {
            /// One line for each field.
            pub(crate) fn encode(&self) -> String {
                let lines = [$(self.$field.to_string()),*];
                lines.join("\n")
            }

            pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
                let mut lines = std::str::from_utf8(bytes).ok()?.split('\n');
                Some(Self { $($field: lines.next()?.parse().ok()?,)* })
            }
        }
    };
}

target! {
    /// What must not arrive anywhere: 32 letters and digits.
    mark: String,
    tcp4: u16,
    tcp6: u16,
    udp4: u16,
    udp6: u16,
    /// A port that nobody uses.
    listen: u16,
    unix_stream: String,
    unix_datagram: String,
    abstract_stream: String,
    abstract_datagram: String,
    /// The watched folder.
    folder: String,
    fifo: String,
    mount_point: String,
    /// A process of the harness.
    pid: u64,
    /// Where it has the secret.
    secret_at: u64,
    /// Where it has 32 bytes that are watched.
    writable_at: u64,
    /// Its descriptor of a file with the secret.
    their_secret_file: u64,
    shared_memory: u64,
    messages: u64,
    semaphore: u64,
    queue: String,
    shm_file: String,
    /// The machine's name.
    host: String,
}

impl Target {
    pub(crate) fn mark(&self) -> &[u8] {
        self.mark.as_bytes()
    }

    pub(crate) fn text(&self) -> String {
        self.mark.clone()
    }

    /// A file of the watched folder.
    pub(crate) fn file(&self, name: &str) -> String {
        format!("{}/{name}", self.folder)
    }
}
