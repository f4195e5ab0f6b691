import { createServer, type IncomingHttpHeaders, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { context, trace } from '@opentelemetry/api'
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-base'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Identity, startIdentity } from '../../../src/demo/identity/index.js'
import { type CliProcess, runCli, startCli } from '../../helpers/cli.js'
import { createFolder } from '../../helpers/folder.js'
import { clock, startStack } from '../../helpers/stack.js'
import { tool } from '../../helpers/targets/contents.js'
import { call } from '../../helpers/targets/raw-client.js'
import { type RecordingTarget, startRecordingTarget } from '../../helpers/targets/recording.js'

interface Collected {
  name: string
  kind: number
  traceId: string
  spanId: string
  parentSpanId?: string
  status: { code: number }
  attributes: { key: string; value: Record<string, unknown> }[]
}

/** A collector that keeps what it gets. */
async function startCollector() {
  const posts: { url: string; headers: IncomingHttpHeaders; body: Buffer }[] = []
  const server: Server = createServer(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk)
    posts.push({ url: request.url ?? '', headers: request.headers, body: Buffer.concat(chunks) })
    response.writeHead(200, { 'content-type': 'application/json' }).end('{}')
  })
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  const { port } = server.address() as AddressInfo
  const spans = () =>
    posts
      .flatMap(({ body }) => JSON.parse(body.toString()).resourceSpans)
      .flatMap(({ scopeSpans }) => scopeSpans)
      .flatMap(({ spans: some }) => some) as Collected[]
  return {
    url: `http://127.0.0.1:${port}`,
    posts,
    spans,
    async close() {
      server.closeAllConnections()
      await new Promise((resolve) => {
        server.close(resolve)
      })
    },
  }
}

const attributesOf = ({ attributes }: Collected) =>
  Object.fromEntries(attributes.map(({ key, value }) => [key, Object.values(value)[0]]))

const TRACE = '0af7651916cd43dd8448eb211c80319c'
const PARENT = `00-${TRACE}-b7ad6b7169203331-01`
const CANARY = 'canary-that-nobody-may-see'

let identity: Identity
let collector: Awaited<ReturnType<typeof startCollector>>
let weather: RecordingTarget
let files: RecordingTarget
beforeAll(async () => {
  identity = await startIdentity({ clock })
  collector = await startCollector()
  weather = await startRecordingTarget({
    tools: [tool('get')],
    handlers: { 'tools/call': () => ({ content: [{ type: 'text', text: CANARY }] }) },
  })
  files = await startRecordingTarget({ tools: [tool('read'), tool('drop')] })
})
afterAll(async () => {
  for (const part of [weather, files, identity, collector]) await part.close()
})

async function serve(env: Record<string, string>) {
  const cwd = createFolder({
    '.mcp-descope-proxyrc.json': {
      descope: { configUrl: identity.configUrl },
      targets: {
        weather: { url: weather.url, credential: { type: 'bearer', token: `${CANARY}-token` } },
        files: { url: files.url, tools: { deny: ['drop'] } },
      },
    },
  })
  const cli: CliProcess = startCli(['serve', '--port', '0', '--log-format', 'json'], {
    env: { OTEL_BSP_SCHEDULE_DELAY: '50', ...env },
    cwd,
    timeoutMs: 60_000,
  })
  const [, url = ''] = await cli.waitFor('stderr', /"event":"listening".*?"url":"([^"]+)"/)
  const token = await identity.mint({ aud: [url] })
  const ask = (method: string, params: object, headers: Record<string, string> = {}) =>
    call(url, method, params, { headers: { authorization: `Bearer ${token}`, ...headers } })
  const end = async () => {
    cli.child.kill('SIGTERM')
    return (await cli.ended).status
  }
  return { cli, url, token, ask, end }
}

describe('spans of requests', () => {
  it('reach a collector: the request, what was decided, the credential, and the target, which has the trace too', async () => {
    const { ask, end, token } = await serve({
      OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
      OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
      OTEL_RESOURCE_ATTRIBUTES: 'deployment.environment.name=test',
    })
    const headers = { traceparent: PARENT, tracestate: 'vendor=1', baggage: 'k=v' }
    const params = { name: 'weather_get', arguments: { place: CANARY } }
    const answer = await ask('tools/call', params, headers)
    expect(answer.headers['x-request-id']).toBe(TRACE)
    await ask('tools/call', { name: 'files_drop', arguments: {} })
    await ask('tools/call', { name: 'files_read', arguments: {} }, { authorization: 'Bearer x' })
    await ask('tools/list', {})
    expect(await end()).toBe(0)

    const spans = collector.spans()
    const ofTrace = spans.filter(({ traceId }) => traceId === TRACE)
    const [request] = ofTrace.filter(({ name }) => name === 'tools/call get')
    expect(request).toMatchObject({ kind: 2, parentSpanId: 'b7ad6b7169203331' })
    expect(attributesOf(request as Collected)).toMatchObject({
      'mcp.method.name': 'tools/call',
      'gen_ai.tool.name': 'get',
      'mcp_proxy.target': 'weather',
      'mcp_proxy.outcome': 'ok',
      'mcp_proxy.request_id': TRACE,
    })
    const inner = ofTrace.filter(({ parentSpanId }) => parentSpanId === request?.spanId)
    const names = inner.map(({ name }) => name)
    expect(new Set(names)).toEqual(
      new Set(['authenticate', 'policy', 'credential', 'target weather']),
    )
    const sent = weather.requests.find(({ body }) => JSON.stringify(body).includes('tools/call'))
    const target = inner.find(({ name }) => name === 'target weather')
    expect(target?.kind).toBe(3)
    expect(sent?.headers).toMatchObject({
      traceparent: `00-${TRACE}-${target?.spanId}-01`,
      tracestate: 'vendor=1',
      baggage: 'k=v',
      'x-request-id': TRACE,
    })

    const refused = spans.map(attributesOf).filter((it) => it['mcp_proxy.refusal'] !== undefined)
    expect(refused).toEqual([
      expect.objectContaining({
        'mcp_proxy.refusal': 'policy',
        'mcp_proxy.rule': 'tools.deny "drop"',
      }),
      expect.objectContaining({ 'http.response.status_code': 401 }),
    ])
    expect(spans.find(({ name }) => name.includes('drop'))).toBeUndefined()
    const [list] = spans.filter(({ name }) => name === 'tools/list')
    const asked = spans.filter(({ parentSpanId }) => parentSpanId === list?.spanId)
    const askedNames = asked.map(({ name }) => name)
    expect(askedNames).toEqual(expect.arrayContaining(['target weather', 'target files']))

    const [{ url, body } = { url: '', body: Buffer.alloc(0) }] = collector.posts
    expect(url).toBe('/v1/traces')
    expect(JSON.parse(body.toString()).resourceSpans[0].resource.attributes).toEqual(
      expect.arrayContaining([
        { key: 'service.name', value: { stringValue: 'mcp-descope-proxy' } },
        { key: 'deployment.environment.name', value: { stringValue: 'test' } },
      ]),
    )
    const all = collector.posts.map((post) => post.body.toString()).join('\n')
    for (const secret of [CANARY, token, identity.projectId]) expect(all).not.toContain(secret)
  }, 60_000)

  it('are written as protobuf unless told otherwise, and keep the decision of a client that is not sampled', async () => {
    collector.posts.length = 0
    const { ask, end } = await serve({
      OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
      OTEL_SERVICE_NAME: 'our-proxy',
      OTEL_EXPORTER_OTLP_HEADERS: 'x-key=of-the-collector',
    })
    await ask('tools/call', { name: 'weather_get', arguments: {} })
    weather.requests.length = 0
    const unsampled = { traceparent: PARENT.replace(/01$/, '00') }
    await ask('tools/call', { name: 'weather_get', arguments: {} }, unsampled)
    expect(weather.requests.at(-1)?.headers['traceparent']).toMatch(
      new RegExp(`^00-${TRACE}-[0-9a-f]{16}-00$`),
    )
    expect(await end()).toBe(0)
    const text = Buffer.concat(collector.posts.map(({ body }) => body)).toString('latin1')
    expect(collector.posts[0]?.headers).toMatchObject({
      'content-type': 'application/x-protobuf',
      'x-key': 'of-the-collector',
    })
    expect(text).toContain('tools/call get')
    expect(text).toContain('our-proxy')
    expect(text).not.toContain(Buffer.from(TRACE, 'hex').toString('latin1'))
  }, 60_000)

  it('are lost without harm to any call when the collector is away, and the log says so', async () => {
    const gone = await startCollector()
    await gone.close()
    const { ask, end, cli } = await serve({
      OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: `${gone.url}/v1/traces`,
      OTEL_EXPORTER_OTLP_HEADERS: `x-key=${CANARY}`,
      OTEL_EXPORTER_OTLP_TIMEOUT: '500',
    })
    const answer = await ask('tools/call', { name: 'weather_get', arguments: {} })
    expect(answer.status).toBe(200)
    await cli.waitFor('stderr', /"event":"tracing"/)
    expect(await end()).toBe(0)
    expect(cli.stderr()).not.toContain(CANARY)
  }, 60_000)

  it.each([
    [{ OTEL_EXPORTER_OTLP_ENDPOINT: 'collector:4318' }, 'OTEL_EXPORTER_OTLP_ENDPOINT'],
    [{ OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc' }, '"grpc"'],
    [{ OTEL_TRACES_EXPORTER: 'zipkin' }, '"zipkin"'],
  ])('are not begun with %j, which is named', async (env, named) => {
    const args = ['serve', '--port', '0', '--target', weather.url, '--log-format', 'json']
    const { status, stderr } = await runCli(args, {
      env: {
        DESCOPE_CONFIG_URL: identity.configUrl,
        OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
        ...env,
      },
    })
    expect([status, stderr]).toEqual([2, expect.stringContaining(named)])
  })

  it('go to the SDK that the process has registered, within the span that is active there', async () => {
    const exporter = new InMemorySpanExporter()
    const processor = new SimpleSpanProcessor(exporter)
    trace.setGlobalTracerProvider(new BasicTracerProvider({ spanProcessors: [processor] }))
    const stack = await startStack({ targets: { weather: weather.url } })
    try {
      await stack.post({ jsonrpc: '2.0', id: 1, method: 'tools/list' })
      await stack.server.close()
      const names = exporter.getFinishedSpans().map(({ name }) => name)
      expect(names).toEqual(
        expect.arrayContaining(['authenticate', 'credential', 'target weather', 'tools/list']),
      )
    } finally {
      await stack.close()
      trace.disable()
      context.disable()
    }
  })
})
