import { isObject, type JsonObject, tryParseJson } from '../util/json.js'
import { type Link, type Protection, readLink } from './chain.js'
import { endsIn } from './tail.js'
import { createFragments } from './verify-fragments.js'

/** What is wrong, and where. */
export interface Problem {
  readonly file: string
  readonly line: number
  readonly problem: string
}

type Place = Omit<Problem, 'problem'>

/** The chain of one process. */
export interface WriterReport {
  readonly writer: string
  readonly records: number
  readonly from: number
  readonly to: number
  /** Hash of its last record: whoever keeps it can see later that nothing was cut off behind it. */
  readonly head: string
  /** Says itself that it ended. */
  readonly stopped: boolean
  /** Another chain goes on from its last record. */
  readonly followed: boolean
}

export interface VerifyReport {
  readonly ok: boolean
  readonly records: number
  /** Records that processes dropped, as they say themselves. */
  readonly lost: number
  readonly writers: readonly WriterReport[]
  readonly problems: readonly Problem[]
  /** How many more there are. */
  readonly moreProblems: number
}

export interface VerifyOptions {
  protection: Protection
  /** Hashes of records that stand before these files. */
  after: readonly string[]
  /** Hashes of records that must be in these files. */
  heads: readonly string[]
}

interface State {
  link: Link
  records: number
  from: number
  stopped: boolean
  followed: boolean
  lost: number
}

const MAX_PROBLEMS = 100

const MAX_WRITERS = 20_000

/** A process that starts names records that may have others behind them by the time that it writes. */
const MAX_RECENT = 20_000

/** Checks lines in their order, whatever they hold. Nothing of a line is trusted before its hash fits. */
export function createAuditVerifier({ protection, after, heads }: VerifyOptions) {
  const writers = new Map<string, State>()
  const recent = new Map<string, State>()
  const known = new Set(after)
  const wanted = new Set(heads)
  const groups = new Map<string, { place: Place; workers: number; seen: number }>()
  const problems: Problem[] = []
  const fragments = createFragments()
  let more = 0
  let records = 0

  function tell(place: Place, problem: string): void {
    if (problems.length < MAX_PROBLEMS) problems.push({ ...place, problem })
    else more++
  }

  function take(line: Buffer, place: Place): void {
    const link = readLink(line)
    if (link !== undefined && fits(line, link)) return check(line, link, place)
    // what another process added to a record that was not written whole
    const at = line.lastIndexOf('{"time":"')
    const second = at > 0 ? readLink(line.subarray(at)) : undefined
    if (second === undefined || !fits(line.subarray(at), second)) {
      if (link === undefined) fragments.add(line, place)
      else check(line, link, place)
      return
    }
    const first = readLink(line.subarray(0, at))
    if (first === undefined) fragments.add(line.subarray(0, at), place)
    else if (first.writer === second.writer) tell(place, 'two records stand in one line')
    else check(line.subarray(0, at), first, place)
    check(line.subarray(at), second, place)
  }

  function fits(line: Buffer, { member, hash, length }: Link): boolean {
    return member === protection.member && protection.of(line.subarray(0, length)) === hash
  }

  function check(line: Buffer, link: Link, place: Place): void {
    records++
    const { writer, seq, member } = link
    const name = `record ${seq} of writer ${writer}`
    if (member !== protection.member) {
      const how = member === 'mac' ? 'with a key, and none was given' : 'without the key'
      return tell(place, `${name} was written ${how}`)
    }
    if (!fits(line, link)) {
      // so that the next one is not told of, too
      const before = writers.get(writer)
      if (before?.link.seq === seq - 1) before.link = link
      const why = protection.member === 'mac' ? ', or its key is another one' : ''
      return tell(place, `${name} was changed: its ${member} does not fit${why}`)
    }
    const parsed = tryParseJson(line.toString('utf8'))
    const record = isObject(parsed) ? parsed : {}
    wanted.delete(link.hash)
    const before = writers.get(writer)
    if (before === undefined) begin(record, link, place)
    else goOn(before, record, link, place)
    const state = writers.get(writer)
    if (state !== undefined) note(state, record, link, place)
  }

  function begin(record: JsonObject, link: Link, place: Place): void {
    const { writer, seq, prev } = link
    if (writers.size >= MAX_WRITERS) return tell(place, 'there are too many writers')
    const isStart = seq === 1 && record['event'] === 'start'
    if (isStart) {
      if (prev !== undefined) follow(prev, 'the record that it follows', link, place)
      for (const end of endsIn(record)) {
        follow(end.hash, `record ${end.seq} of writer ${end.writer}, which it names,`, link, place)
      }
      count(record, place)
    } else if (prev === undefined || !known.has(prev)) {
      const text = `writer ${writer} begins in the middle, with record ${seq}: what stands before it is missing`
      tell(place, `${text} (give earlier files first, or --after ${prev})`)
    }
    const state = { link, records: 0, from: seq, stopped: false, followed: false, lost: 0 }
    writers.set(writer, state)
  }

  /** Another process's record must be there. */
  function follow(hash: string, what: string, { writer }: Link, place: Place) {
    const state = recent.get(hash)
    if (state !== undefined) {
      if (state.link.hash === hash) state.followed = true
    } else if (!known.has(hash)) {
      const text = `writer ${writer} begins, and ${what} is missing`
      tell(place, `${text} (give earlier files first, or --after ${hash})`)
    }
  }

  function goOn(state: State, record: JsonObject, link: Link, place: Place) {
    const { seq, writer } = link
    const last = state.link.seq
    if (state.stopped) tell(place, `record ${seq} of writer ${writer} stands behind its end`)
    else if (seq <= last) {
      tell(place, `record ${seq} of writer ${writer} stands behind its record ${last}`)
    } else if (seq > last + 1) {
      const which = seq === last + 2 ? `record ${last + 1}` : `records ${last + 1} to ${seq - 1}`
      tell(place, `${which} of writer ${writer} missing before this one`)
    } else if (link.prev !== state.link.hash) {
      tell(place, `record ${seq} of writer ${writer} does not follow record ${last}`)
    } else if (record['event'] === 'start') {
      tell(place, `writer ${writer} starts again`)
    }
  }

  function note(state: State, record: JsonObject, link: Link, place: Place) {
    state.link = link
    state.records++
    state.stopped = record['event'] === 'stop'
    const { lost } = record
    if (record['event'] === 'gap' && typeof lost === 'number') state.lost += lost
    const missing = fragments.claim(record, place)
    if (missing > 0) tell(place, `${missing} bytes that this record tells of are missing`)
    recent.set(link.hash, state)
    if (recent.size <= MAX_RECENT) return
    for (const [oldest, of] of recent) {
      // the last record of a process may be named long after
      if (of.link.hash !== oldest) {
        recent.delete(oldest)
        return
      }
      recent.delete(oldest)
      recent.set(oldest, of)
    }
  }

  /** Counts the workers that one start made. */
  function count(record: JsonObject, place: Place): void {
    const { host, parent, workers } = record
    if (typeof workers !== 'number' || workers < 2) return
    const key = JSON.stringify([host, parent])
    const group = groups.get(key) ?? { place, workers, seen: 0 }
    group.seen++
    groups.set(key, group)
  }

  function report(end: Place): VerifyReport {
    for (const { place, bytes } of fragments.unclaimed()) {
      const why = records === 0 ? '; is this an audit file?' : ': it was changed, added or cut off'
      tell(place, `is not an audit record (${bytes} bytes)${why}`)
    }
    for (const { place, workers, seen } of groups.values()) {
      if (seen < workers) tell(place, `only ${seen} of ${workers} workers have records here`)
    }
    for (const head of wanted) tell(end, `the record with the hash ${head} is missing`)
    const states = [...writers.values()]
    return {
      ok: problems.length === 0,
      records,
      lost: states.reduce((sum, state) => sum + state.lost, 0),
      writers: states.map(({ link, from, stopped, followed, records: own }) => ({
        ...{ writer: link.writer, records: own, from, to: link.seq, head: link.hash },
        ...{ stopped, followed },
      })),
      problems,
      moreProblems: more,
    }
  }

  return { take, report }
}
