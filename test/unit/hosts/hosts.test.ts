import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { HOST_IDS } from '../../../src/hosts/host.js'
import { checkName, deriveName, findHost } from '../../../src/hosts/hosts.js'

describe('the name of a server', () => {
  it.each([
    ['mcp.acme.com', 'mcp-acme-com'],
    ['localhost:8000', 'localhost-8000'],
    ['[::1]:8000', '1-8000'],
    ['xn--bcher-kva.example', 'xn--bcher-kva-example'],
    ['my_target', 'my_target'],
    ['…', 'mcp'],
    [`${'a'.repeat(39)}.com`, 'a'.repeat(39)],
  ])('is made from %s', (from, name) => {
    expect(deriveName(findHost('cursor'), from)).toBe(name)
  })

  it('has no underscore for Gemini CLI, whose rules break on it', () => {
    expect(deriveName(findHost('gemini'), 'my_target')).toBe('my-target')
  })

  it('fits every host, whatever it is made from', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.constantFrom(...HOST_IDS), (from, id) => {
        const host = findHost(id)
        expect(checkName(host, deriveName(host, from))).toMatch(/^[A-Za-z0-9_-]{1,40}$/)
      }),
    )
  })

  it.each([
    { id: 'cursor', name: '', says: 'is empty' },
    { id: 'cursor', name: ' a', says: 'spaces around' },
    { id: 'vscode', name: 'a\nb', says: 'control characters' },
    { id: 'vscode', name: 'a\u001b[2J', says: 'control characters' },
    { id: 'vscode', name: '\ud800', says: 'control characters' },
    { id: 'cursor', name: 'a'.repeat(65), says: 'longer than 64' },
    { id: 'claude-code', name: 'my server', says: 'letters, digits, "-" and "_"' },
    { id: 'codex', name: 'a.b', says: 'letters, digits, "-" and "_"' },
    { id: 'gemini', name: 'a_b', says: 'letters, digits and "-"' },
  ])('is refused for $id when it is $name', ({ id, name, says }) => {
    expect(() => checkName(findHost(id), name)).toThrow(
      expect.objectContaining({ code: 'USAGE', message: expect.stringContaining(says) }),
    )
  })

  it.each(['My Server', 'Ärger & Söhne', '__proto__', 'a"b\\c'])('may be %s', (name) => {
    expect(checkName(findHost('vscode'), name)).toBe(name)
  })
})
