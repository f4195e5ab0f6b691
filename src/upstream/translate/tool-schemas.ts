import { createHash } from 'node:crypto'
import { ListWalk } from '../../mcp/list-walk.js'
import { BoundedMap } from '../../util/bounded-map.js'
import { isObject, type JsonObject, stringMember, tryParseJson } from '../../util/json.js'
import type { Logger } from '../../util/logger.js'
import type { Clock } from '../../util/runtime.js'
import { headerPairs } from '../upstream.js'
import { type MirroredParam, scanParams } from './param-headers.js'

interface ToolSchemasOptions {
  clock: Pick<Clock, 'now'>
  logger: Pick<Logger, 'warn'>
  /** Name of the target, for people. */
  target: string
  /** The header with a JWT about the caller, which is signed anew all the time. */
  identityHeader?: string | undefined
  /** Requests a page of the target's tools; `undefined` when there is none. */
  requestPage(
    headers: readonly string[],
    cursor: string | undefined,
  ): Promise<JsonObject | undefined>
}

/** The tools as one caller sees them. */
interface View {
  readonly tools: Map<string, readonly MirroredParam[]>
  /** When all pages were read last. */
  readAt: number
  reading: Promise<void> | undefined
}

/** Headers that do not depend on the caller. */
const OF_REQUEST =
  /^(accept|content-type|user-agent|mcp-.*|traceparent|tracestate|baggage|x-request-id)$/

const MAX_VIEWS = 100
const MAX_TOOLS = 10_000
const MAX_PAGES = 100

/** How long after reading the lists they are not read again for a tool that is not in them. */
const LOOK_AGAIN_MS = 60_000

/** What differs between two JWTs about one caller. */
const OF_JWT: ReadonlySet<string> = new Set(['exp', 'iat', 'jti'])

/** Knows which arguments of which tools are repeated in headers, as each caller sees the tools. */
export class ToolSchemas {
  readonly #options: ToolSchemasOptions
  readonly #views = new BoundedMap<string, View>(MAX_VIEWS)
  readonly #reported = new Set<string>()
  /** What lasts of each JWT. */
  readonly #identities = new BoundedMap<string, string>(MAX_VIEWS)

  constructor(options: ToolSchemasOptions) {
    this.#options = options
  }

  /** Returns the arguments that a tool wants repeated as headers; lists the target's tools if they are unknown. */
  paramsOf(
    headers: readonly string[],
    tool: string,
  ): readonly MirroredParam[] | Promise<readonly MirroredParam[]> {
    const view = this.#view(headers)
    const known = view.tools.get(tool)
    if (known !== undefined) return known
    if (this.#options.clock.now() - view.readAt < LOOK_AGAIN_MS) return []
    return this.read(headers).then(() => view.tools.get(tool) ?? [])
  }

  /** Reads all tools, however long ago that was done last. */
  read(headers: readonly string[]): Promise<void> {
    const view = this.#view(headers)
    view.reading ??= this.#readPages(headers, view).finally(() => {
      view.reading = undefined
    })
    return view.reading
  }

  async #readPages(headers: readonly string[], view: View): Promise<void> {
    let cursor: string | undefined
    const walk = new ListWalk()
    for (let page = 0; page < MAX_PAGES; page++) {
      const result = await this.#options.requestPage(headers, cursor)
      if (result === undefined) break
      this.#learn(result, view)
      const { tools } = result
      const names = Array.isArray(tools) ? tools.map((tool) => isObject(tool) && tool['name']) : []
      cursor = walk.next(names, stringMember(result, 'nextCursor'))
      if (cursor === undefined) break
    }
    view.readAt = this.#options.clock.now()
  }

  /**
   * Remembers the tools of a list that is on its way to the client.
   *
   * @returns The tools without those that must be left out; `undefined` when there are none.
   */
  learn(headers: readonly string[], result: JsonObject): JsonObject[] | undefined {
    return this.#learn(result, this.#view(headers))
  }

  #learn({ tools }: JsonObject, view: View): JsonObject[] | undefined {
    return Array.isArray(tools) ? tools.filter((tool) => this.#takes(tool, view)) : undefined
  }

  #takes(tool: unknown, { tools }: View): boolean {
    const name = isObject(tool) ? stringMember(tool, 'name') : undefined
    if (!isObject(tool) || name === undefined) return true
    const scan = scanParams(tool['inputSchema'])
    if (tools.size < MAX_TOOLS) tools.set(name, scan.valid ? scan.params : [])
    if (!scan.valid) this.#report(name, scan.reason)
    return scan.valid
  }

  #report(tool: string, reason: string): void {
    if (this.#reported.has(tool) || this.#reported.size > MAX_TOOLS) return
    this.#reported.add(tool)
    const { logger, target } = this.#options
    const text = `Tool "${tool}" of target "${target}" is left out: ${reason}`
    logger.warn('tool_left_out', text, { target, tool })
  }

  #view(headers: readonly string[]): View {
    const { identityHeader } = this.#options
    const identity = headerPairs(headers)
      .filter(([name]) => !OF_REQUEST.test(name.toLowerCase()))
      .map(([name, value]) => [name, name === identityHeader ? this.#lasting(value) : value])
    const key = createHash('sha256').update(JSON.stringify(identity)).digest('base64')
    let view = this.#views.get(key)
    if (view === undefined) {
      view = { tools: new Map(), readAt: Number.NEGATIVE_INFINITY, reading: undefined }
      this.#views.set(key, view)
    }
    return view
  }

  /** Returns what a JWT says, whenever it was signed. */
  #lasting(jwt: string): string {
    const known = this.#identities.get(jwt)
    if (known !== undefined) return known
    const payload = Buffer.from(jwt.split('.')[1] ?? '', 'base64url').toString()
    const claims = tryParseJson(payload)
    const lasting = isObject(claims)
      ? JSON.stringify(Object.entries(claims).filter(([name]) => !OF_JWT.has(name)))
      : jwt
    this.#identities.set(jwt, lasting)
    return lasting
  }
}
