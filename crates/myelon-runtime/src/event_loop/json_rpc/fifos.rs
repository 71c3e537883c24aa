//! One client at a time through a pair of FIFOs, for programs that have files and no sockets.

use super::Methods;
use super::conversation::{Conversation, Step, Stream};
use crate::event_loop::{AddError, EventLoop, Interest, Next, Ready, Settings, SourceId};
use myelon_process::listen::Fifo;
use std::io::{self, Read, Write};
use std::rc::Rc;

/// Requests come by the first one, and answers go by the second one.
struct Pair<'a>(&'a Fifo, &'a Fifo);

impl Stream for Pair<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.1.write(bytes)
    }
}

impl EventLoop {
    /// Serves JSON-RPC 2.0 on a pair of FIFOs: requests are read from `input`, answers are written to `output`, each a
    /// line. The page of [`json_rpc`](super) has the rules.
    ///
    /// The kernel does not say which process has written, so all writers are one client. A process that writes a line
    /// of at most 4096 bytes in one call does not disturb another one. Answers stay in `output` until a process reads
    /// them. If none does, requests are served until 64 KiB of answers wait, and then they wait in `input`.
    ///
    /// The source of `input` is returned. While answers wait for room it is paused, and another source waits for the
    /// room. If the program [pauses](EventLoop::pause) it as well, it waits for the program's
    /// [resume](EventLoop::resume). Removing it removes both FIFOs; `output` only when the answers that wait are read.
    ///
    /// ```
    /// use myelon_process::listen::Fifo;
    /// use myelon_runtime::event_loop::EventLoop;
    /// use myelon_runtime::event_loop::json_rpc::Methods;
    /// use std::io::{BufRead, BufReader};
    ///
    /// # let directory = std::env::temp_dir().join(format!("myelon-doc-rpc-fifos-{}", std::process::id()));
    /// let (input, output) = (Fifo::create(directory.join("in"))?, Fifo::create(directory.join("out"))?);
    /// let (input_path, output_path) = (input.path().to_owned(), output.path().to_owned());
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// event_loop.add_json_rpc_fifos(input, output, Methods::new(), "console")?;
    ///
    /// let mut answers = BufReader::new(std::fs::File::open(output_path)?);
    /// std::fs::write(input_path, "{\"jsonrpc\":\"2.0\",\"id\":\"a\",\"method\":\"quit\"}\n")?;
    /// event_loop.run()?;
    /// let mut answer = String::new();
    /// answers.read_line(&mut answer)?;
    /// assert_eq!(answer, "{\"jsonrpc\":\"2.0\",\"id\":\"a\",\"result\":null}\n");
    /// # drop(event_loop);
    /// # std::fs::remove_dir(&directory)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// See [`AddError`]. The FIFOs are removed then.
    pub fn add_json_rpc_fifos(
        &mut self,
        input: Fifo,
        output: Fifo,
        methods: Methods,
        settings: impl Into<Settings>,
    ) -> Result<SourceId, AddError> {
        let settings = settings.into();
        let mut conversation = Conversation::new(methods);
        let output = Rc::new(output);
        let mut of_room = settings.clone();
        of_room.description = format!("{}: room for answers", settings.description).into();
        let handler = move |event_loop: &mut EventLoop, input: &mut Fifo, _: Ready| {
            Ok::<_, Box<dyn std::error::Error>>(match conversation.step(event_loop, &mut Pair(input, &output))? {
                Step::More => Next::More,
                Step::Input => Next::Drained,
                Step::Room => {
                    event_loop.pause_until_writable(Rc::clone(&output), of_room.clone())?;
                    // There may be nothing to read then, and lines that were read already.
                    Next::More
                }
                // A FIFO that is open for reading and writing has no end.
                Step::Over => Next::Remove,
            })
        };
        self.add(input, Interest::Readable, settings, handler)
    }

    /// Pauses the source whose handler runs, until there is room in the FIFO.
    fn pause_until_writable(&mut self, output: Rc<Fifo>, settings: Settings) -> Result<(), AddError> {
        let Some(input) = self.current else { return Ok(()) };
        let handler = move |event_loop: &mut EventLoop, _: &mut Rc<Fifo>, _: Ready| {
            event_loop.release(input)?;
            Ok::<_, io::Error>(Next::Remove)
        };
        match self.add(output, Interest::Writable, settings, handler) {
            // The source was resumed meanwhile, and there was no room yet.
            Ok(_) | Err(AddError::Twice { .. }) => {
                self.hold(input);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}
