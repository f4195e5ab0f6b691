import { describe, expect, it } from 'vitest'
import { showConfig } from '../../../../../src/cli/commands/config/show.js'
import { createFolder } from '../../../../helpers/folder.js'
import { createTestRuntime } from '../../../../helpers/runtime.js'

const FILE = '.config/mcp-descope-proxyrc.yaml'
/** As users write a reference. */
const PART = ['$', '{PART}'].join('')
const LONG = 'mcp.a-rather-long-name-of-a-host.internal.example.com:8443'

function show(options: { isTty: boolean; columns: number }): string {
  const yaml = `server:\n  path: /p\n  allowedHosts: [${LONG}, ${LONG}]\n`
  const runtime = createTestRuntime({ cwd: createFolder({ [FILE]: yaml }), ...options })
  showConfig(runtime, {}, { json: false })
  // biome-ignore lint/suspicious/noControlCharactersInRegex: colours are made of them
  return runtime.stdout().replace(/\u001b\[\d+m/g, '')
}

it('config show names the variables in what is no secret, and not what they hold', () => {
  const yaml = [
    'server:',
    `  publicUrl: https://${PART}.example`,
    `  allowedHosts: [plain.example, "${PART}.internal"]`,
  ].join('\n')
  const cwd = createFolder({ [FILE]: yaml })
  const runtime = createTestRuntime({ cwd, env: { PART: 'hidden-part' } })
  showConfig(runtime, {}, { json: true })
  expect(runtime.stdout()).not.toContain('hidden-part')
  const { settings } = JSON.parse(runtime.stdout())
  expect(settings['server.publicUrl'].value).toBe(`https://${PART}.example`)
  expect(settings['server.allowedHosts'].value).toEqual(['plain.example', `${PART}.internal`])
})

describe('the origins that config show prints', () => {
  it.each([40, 80, 200])('are whole in a pipe, and on the line of their key, at %s', (columns) => {
    const text = show({ isTty: false, columns })
    expect(text).toMatch(/^server\.path .*\/p +file \.\/\.config\/mcp-descope-proxyrc\.yaml:2$/m)
    expect(text).toMatch(/^server\.allowedHosts .*file \.\/\.config\/mcp-descope-proxyrc\.yaml:3$/m)
    expect(text).toContain(`  ${LONG}, ${LONG}`)
    expect(text).not.toContain('…')
  })

  it.each([40, 60, 80, 120])('are whole at a terminal of %s columns, which they fit', (columns) => {
    const text = show({ isTty: true, columns })
    expect(text.replace(/\s+/g, '')).toContain(`file./${FILE}:2`)
    expect(text.replace(/\s+/g, '')).toContain(LONG)
    for (const line of text.split('\n')) expect(line.length).toBeLessThanOrEqual(columns)
    expect(text).not.toContain('…')
  })
})
