import { isObject, type JsonObject } from '../util/json.js'
import { fail, type Verdict } from './check.js'
import { resultOf } from './client.js'
import { explain } from './explain.js'
import type { Probe } from './probe.js'

export const CONTENT_KINDS = ['tools', 'resources', 'prompts'] as const
export type ContentKind = (typeof CONTENT_KINDS)[number]

/** One list with all its pages, or why there is none. */
export interface List {
  /** The target declares this capability. */
  readonly isOffered: boolean
  readonly entries: readonly JsonObject[]
  readonly pages: number
  readonly problem: Verdict | undefined
}

const MAX_PAGES = 100

/** Creates a reader of the three lists; each is requested once. */
export function createLists(probe: Probe): (kind: ContentKind) => Promise<List> {
  const known = new Map<ContentKind, Promise<List>>()
  return (kind) => {
    const list = known.get(kind) ?? readList(probe, kind)
    known.set(kind, list)
    return list
  }
}

async function readList(probe: Probe, kind: ContentKind): Promise<List> {
  const session = await probe.session()
  const isOffered = isObject(session.capabilities[kind])
  const entries: JsonObject[] = []
  const cursors = new Set<string>()
  const names = new Set<unknown>()
  const method = `${kind}/list`
  let pages = 0
  let cursor: string | undefined
  const done = (problem?: Verdict) => ({ isOffered, entries, pages, problem })
  if (!isOffered) return done()
  do {
    const exchange = await session.request(method, cursor === undefined ? {} : { cursor })
    const result = resultOf(exchange)
    if (result === undefined) return done(explain(exchange, method))
    pages += 1
    probe.seen.push({ method, result })
    const page = result[kind]
    if (!Array.isArray(page)) {
      const hint = `Answer ${method} with a list in "${kind}", empty if there is nothing.`
      return done(fail(`the result has no list "${kind}"`, hint, 'PROTOCOL_INVALID'))
    }
    const found = page.filter(isObject)
    const fresh = found.filter((entry) => !names.has(nameOf(entry)))
    for (const entry of found) names.add(nameOf(entry))
    // many servers set "" on the last page, and start over when it is followed
    const isBeginning = cursor === '' && fresh.length === 0
    if (!isBeginning) entries.push(...found)
    cursor = typeof result['nextCursor'] === 'string' ? result['nextCursor'] : undefined
    if (cursor === '' && (isBeginning || cursors.has(''))) cursor = undefined
    if (cursor !== undefined && (cursors.has(cursor) || pages === MAX_PAGES)) {
      const what = cursors.has(cursor) ? 'the pages go in circles' : `more than ${MAX_PAGES} pages`
      const hint = 'Leave "nextCursor" out on the last page.'
      return done(fail(what, hint, 'PROTOCOL_INVALID'))
    }
    if (cursor !== undefined) cursors.add(cursor)
  } while (cursor !== undefined)
  return done()
}

/** The identity of an entry; one without a name is unique. */
function nameOf(entry: JsonObject): unknown {
  return entry['uri'] ?? entry['name'] ?? entry
}
