//! What flatbuffers' compiler generates for the schema below, with the object API. Written by hand in its style; only
//! what the tests use.
//!
//! ```text
//! table Sequence { id: ulong; tokens: [uint]; blocks: [uint]; }
//! table Step { note: string; sequences: [Sequence]; previous: Step; }
//! root_type Step;
//! ```

use myelon::flatbuffers;

use self::flatbuffers::{
    Allocator, FlatBufferBuilder, Follow, ForwardsUOffset, InvalidFlatbuffer, Table, TableFinishedWIPOffset, VOffsetT,
    Vector, Verifiable, Verifier, WIPOffset,
};

#[derive(Copy, Clone, PartialEq)]
pub struct Sequence<'a> {
    pub _tab: Table<'a>,
}

impl<'a> Follow<'a> for Sequence<'a> {
    type Inner = Sequence<'a>;

    unsafe fn follow(buf: &'a [u8], loc: usize) -> Self {
        // SAFETY: our caller's promise.
        Self { _tab: unsafe { Table::new(buf, loc) } }
    }
}

impl<'a> Sequence<'a> {
    pub const VT_ID: VOffsetT = 4;
    pub const VT_TOKENS: VOffsetT = 6;
    pub const VT_BLOCKS: VOffsetT = 8;

    pub fn id(&self) -> u64 {
        // SAFETY: created from a valid table with this field.
        unsafe { self._tab.get::<u64>(Self::VT_ID, Some(0)).unwrap() }
    }

    pub fn tokens(&self) -> Option<Vector<'a, u32>> {
        // SAFETY: created from a valid table with this field.
        unsafe { self._tab.get::<ForwardsUOffset<Vector<'a, u32>>>(Self::VT_TOKENS, None) }
    }

    pub fn blocks(&self) -> Option<Vector<'a, u32>> {
        // SAFETY: created from a valid table with this field.
        unsafe { self._tab.get::<ForwardsUOffset<Vector<'a, u32>>>(Self::VT_BLOCKS, None) }
    }

    pub fn unpack(&self) -> SequenceT {
        SequenceT {
            id: self.id(),
            tokens: self.tokens().map(|x| x.into_iter().collect()),
            blocks: self.blocks().map(|x| x.into_iter().collect()),
        }
    }
}

impl Verifiable for Sequence<'_> {
    fn run_verifier(v: &mut Verifier, pos: usize) -> Result<(), InvalidFlatbuffer> {
        v.visit_table(pos)?
            .visit_field::<u64>("id", Self::VT_ID, false)?
            .visit_field::<ForwardsUOffset<Vector<'_, u32>>>("tokens", Self::VT_TOKENS, false)?
            .visit_field::<ForwardsUOffset<Vector<'_, u32>>>("blocks", Self::VT_BLOCKS, false)?
            .finish();
        Ok(())
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct SequenceT {
    pub id: u64,
    pub tokens: Option<Vec<u32>>,
    pub blocks: Option<Vec<u32>>,
}

impl SequenceT {
    pub fn pack<'b, A: Allocator + 'b>(&self, fbb: &mut FlatBufferBuilder<'b, A>) -> WIPOffset<Sequence<'b>> {
        let tokens = self.tokens.as_ref().map(|x| fbb.create_vector(x));
        let blocks = self.blocks.as_ref().map(|x| fbb.create_vector(x));
        let table = fbb.start_table();
        fbb.push_slot::<u64>(Sequence::VT_ID, self.id, 0);
        if let Some(x) = blocks {
            fbb.push_slot_always::<WIPOffset<_>>(Sequence::VT_BLOCKS, x);
        }
        if let Some(x) = tokens {
            fbb.push_slot_always::<WIPOffset<_>>(Sequence::VT_TOKENS, x);
        }
        finished(fbb.end_table(table))
    }
}

#[derive(Copy, Clone, PartialEq)]
pub struct Step<'a> {
    pub _tab: Table<'a>,
}

impl<'a> Follow<'a> for Step<'a> {
    type Inner = Step<'a>;

    unsafe fn follow(buf: &'a [u8], loc: usize) -> Self {
        // SAFETY: our caller's promise.
        Self { _tab: unsafe { Table::new(buf, loc) } }
    }
}

impl<'a> Step<'a> {
    pub const VT_NOTE: VOffsetT = 4;
    pub const VT_SEQUENCES: VOffsetT = 6;
    pub const VT_PREVIOUS: VOffsetT = 8;

    pub fn note(&self) -> Option<&'a str> {
        // SAFETY: created from a valid table with this field.
        unsafe { self._tab.get::<ForwardsUOffset<&str>>(Self::VT_NOTE, None) }
    }

    pub fn sequences(&self) -> Option<Vector<'a, ForwardsUOffset<Sequence<'a>>>> {
        // SAFETY: created from a valid table with this field.
        unsafe { self._tab.get::<ForwardsUOffset<Vector<'a, ForwardsUOffset<Sequence>>>>(Self::VT_SEQUENCES, None) }
    }

    pub fn previous(&self) -> Option<Step<'a>> {
        // SAFETY: created from a valid table with this field.
        unsafe { self._tab.get::<ForwardsUOffset<Step>>(Self::VT_PREVIOUS, None) }
    }

    pub fn unpack(&self) -> StepT {
        StepT {
            note: self.note().map(str::to_owned),
            sequences: self.sequences().map(|x| x.iter().map(|t| t.unpack()).collect()),
            previous: self.previous().map(|x| Box::new(x.unpack())),
        }
    }
}

impl Verifiable for Step<'_> {
    fn run_verifier(v: &mut Verifier, pos: usize) -> Result<(), InvalidFlatbuffer> {
        v.visit_table(pos)?
            .visit_field::<ForwardsUOffset<&str>>("note", Self::VT_NOTE, false)?
            .visit_field::<ForwardsUOffset<Vector<'_, ForwardsUOffset<Sequence>>>>(
                "sequences",
                Self::VT_SEQUENCES,
                false,
            )?
            .visit_field::<ForwardsUOffset<Step>>("previous", Self::VT_PREVIOUS, false)?
            .finish();
        Ok(())
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct StepT {
    pub note: Option<String>,
    pub sequences: Option<Vec<SequenceT>>,
    pub previous: Option<Box<StepT>>,
}

impl StepT {
    pub fn pack<'b, A: Allocator + 'b>(&self, fbb: &mut FlatBufferBuilder<'b, A>) -> WIPOffset<Step<'b>> {
        let note = self.note.as_ref().map(|x| fbb.create_string(x));
        let sequences = self.sequences.as_ref().map(|x| {
            let w: Vec<_> = x.iter().map(|t| t.pack(fbb)).collect();
            fbb.create_vector(&w)
        });
        let previous = self.previous.as_ref().map(|x| x.pack(fbb));
        let table = fbb.start_table();
        if let Some(x) = previous {
            fbb.push_slot_always::<WIPOffset<_>>(Step::VT_PREVIOUS, x);
        }
        if let Some(x) = sequences {
            fbb.push_slot_always::<WIPOffset<_>>(Step::VT_SEQUENCES, x);
        }
        if let Some(x) = note {
            fbb.push_slot_always::<WIPOffset<_>>(Step::VT_NOTE, x);
        }
        finished(fbb.end_table(table))
    }
}

fn finished<T>(table: WIPOffset<TableFinishedWIPOffset>) -> WIPOffset<T> {
    WIPOffset::new(table.value())
}
