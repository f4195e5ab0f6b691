import { callerId } from '../../auth/principal.js'
import {
  isObject,
  type JsonObject,
  ownMember,
  stringMember,
  tryParseJson,
} from '../../util/json.js'
import type { Clock } from '../../util/runtime.js'
import { listKind } from '../lists/lists.js'
import type { InPlaceRequest } from './in-place.js'

const MAX_PAGE_CHARS = 2 * 1024 * 1024

const MAX_CHARS = 16 * 1024 * 1024

/** The least that a page counts. */
const MIN_CHARS = 1024

/** Pages that are looked through for one name. */
const MAX_PAGES = 50

const MAX_AGE_MS = 24 * 3_600_000

/**
 * Keeps the lists that a target gave a connected caller, page by page, for when that caller is not
 * connected any more. What a target lists may depend on the account behind it, so that nobody, in no
 * other tenant either, ever gets what was listed for somebody else.
 */
export function createKeptLists(clock: Pick<Clock, 'now'>) {
  const pages = new Map<string, { text: string; size: number; keptAt: number }>()
  let total = 0

  function forget(key: string): void {
    total -= pages.get(key)?.size ?? 0
    pages.delete(key)
  }

  function find(key: string, method: string): JsonObject | undefined {
    const page = pages.get(key)
    if (page === undefined || clock.now() - page.keptAt > MAX_AGE_MS) return undefined
    const member = listKind(method)?.member ?? ''
    const message = tryParseJson(page.text)
    const result = isObject(message) ? ownMember(message, 'result') : undefined
    const entries = isObject(result) ? ownMember(result, member) : undefined
    if (!isObject(result) || !Array.isArray(entries)) return undefined
    const nextCursor = stringMember(result, 'nextCursor')
    return { [member]: entries, ...(nextCursor !== undefined && { nextCursor }) }
  }

  return {
    keep(key: string, text: string): void {
      forget(key)
      const size = Math.max(text.length, MIN_CHARS)
      if (size > MAX_PAGE_CHARS) return
      for (const oldest of pages.keys()) {
        if (total + size <= MAX_CHARS) break
        forget(oldest)
      }
      pages.set(key, { text, size, keptAt: clock.now() })
      total += size
    },

    /** Returns the members of the kept page that make a list: its entries and where the next one is. */
    find,

    /** Tells whether a tool is on a page of the caller's list that is kept. */
    lists(request: InPlaceRequest, tool: string): boolean {
      let cursor: unknown = ''
      for (let page = 0; page < MAX_PAGES && typeof cursor === 'string'; page++) {
        const key = pageKey(request, { method: 'tools/list', params: { cursor } })
        const list = key === undefined ? undefined : find(key, 'tools/list')
        const tools = list?.['tools']
        const isSame = (entry: unknown) => isObject(entry) && entry['name'] === tool
        if (Array.isArray(tools) && tools.some(isSame)) return true
        cursor = list?.['nextCursor']
      }
      return false
    },
  }
}

/** Names a page of a caller's list; `undefined` for what is no request for a list. */
export function pageKey({ caller }: InPlaceRequest, message: JsonObject): string | undefined {
  const { method, params } = message
  if (typeof method !== 'string' || listKind(method) === undefined) return undefined
  const cursor = isObject(params) ? (stringMember(params, 'cursor') ?? '') : ''
  return JSON.stringify([callerId(caller.principal), method, cursor])
}
