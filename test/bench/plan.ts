import { parseArgs } from 'node:util'
import { CANDIDATES, type CandidateName } from './candidates.js'

const REQUEST_SUITES = ['calls', 'payloads', 'lists'] as const
const SUITES = [...REQUEST_SUITES, 'streams', 'stdio', 'checks'] as const
export type SuiteName = (typeof SUITES)[number]
/** Suites of requests over HTTP, in which all candidates stay up. */
export type RequestSuite = (typeof REQUEST_SUITES)[number]

export function isRequestSuite(suite: SuiteName): suite is RequestSuite {
  return (REQUEST_SUITES as readonly string[]).includes(suite)
}

/**
 * How much is measured. Rounds are interleaved: every candidate has one turn in each. Many short
 * rounds bear a noisy machine better than few long ones.
 */
export interface Plan {
  suites: readonly SuiteName[]
  candidates: readonly CandidateName[]
  jsonFile: string | undefined
  /** Publish the figures: in the README and as a plot. */
  save: boolean
  /**
   * The SDK relay needs long for its 2,000 sessions, so it has fewer rounds of streams. Of the
   * starts of bridges, memory is measured in the first few.
   */
  rounds: Record<SuiteName | 'sdkStreams' | 'stdioStarts' | 'stdioMemory', number>
  /** Length of one candidate's turn, milliseconds. */
  turnMs: Record<RequestSuite | 'stdio', number>
  /** For one candidate, at most. */
  warmUpMs: number
  bridgeWarmUpMs: number
  streams: number
  burst: number
}

/** `gateway` is measured where it is named, so that the published figures stay comparable. */
const USUAL = CANDIDATES.filter((name) => name !== 'gateway')

const FULL = {
  candidates: USUAL,
  rounds: {
    ...{ calls: 11, payloads: 5, lists: 5, streams: 3, sdkStreams: 1 },
    ...{ stdio: 13, stdioStarts: 15, stdioMemory: 3, checks: 11 },
  },
  turnMs: { calls: 600, payloads: 400, lists: 400, stdio: 300 },
  warmUpMs: 8000,
  bridgeWarmUpMs: 4000,
}

const QUICK = {
  candidates: USUAL.filter((name) => name !== 'full'),
  rounds: {
    ...{ calls: 5, payloads: 3, lists: 3, streams: 1, sdkStreams: 0 },
    ...{ stdio: 5, stdioStarts: 9, stdioMemory: 2, checks: 7 },
  },
  turnMs: { calls: 600, payloads: 250, lists: 250, stdio: 200 },
  warmUpMs: 4000,
  bridgeWarmUpMs: 2000,
}

export const USAGE = `npm run bench -- [options]

  --quick              shorter turns, fewer rounds and candidates; figures are less certain
  --only <suites>      ${SUITES.join(', ')}; several with commas
  --candidates <names> ${CANDIDATES.join(', ')}; several with commas;
                       gateway is serve with access, identity and an endpoint of the target's
                       own, and is measured only where it is named;
                       stdio and checks are always measured against peers of their own
  --json <file>        also write every measurement of every round
  --save               publish the figures of a whole run: the tables of the README and its plot
  --help               print this text

Exits 1 when a gate is missed or an answer is wrong, 2 when an option is.`

/** @throws {Error} with a sentence for the reader when the arguments are wrong. */
export function parsePlan(argv: string[]): Plan | 'help' {
  const { values } = parseArgs({
    args: argv,
    options: {
      quick: { type: 'boolean', default: false },
      only: { type: 'string' },
      candidates: { type: 'string' },
      json: { type: 'string' },
      save: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) return 'help'
  const partial = values.quick || values.only !== undefined || values.candidates !== undefined
  if (values.save && partial) throw new Error('--save needs a whole run')
  const size = values.quick ? QUICK : FULL
  return {
    ...size,
    suites: values.only === undefined ? SUITES : parseNames(SUITES, values.only),
    candidates:
      values.candidates === undefined ? size.candidates : parseNames(CANDIDATES, values.candidates),
    jsonFile: values.json,
    save: values.save,
    streams: 2000,
    burst: 10_000,
  }
}

function parseNames<T extends string>(all: readonly T[], text: string): readonly T[] {
  const wanted = text.split(',')
  const unknown = wanted.find((name) => !all.includes(name as T))
  if (unknown !== undefined) throw new Error(`"${unknown}" is none of ${all.join(', ')}`)
  return all.filter((name) => wanted.includes(name))
}
