import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import ts from 'typescript'

export interface Pattern {
  /** `src/util/x.ts:7` */
  readonly place: string
  /** As the source has it. */
  readonly text: string
  readonly expressions: readonly RegExp[]
  /** How the source uses it, where that is seen from the expression itself. */
  readonly mode: 'exec' | 'replace' | 'split'
}

/** Finds every regular expression in the source below some folders. */
export function collectPatterns(
  folders: readonly string[],
  built: Record<string, readonly RegExp[]>,
): Pattern[] {
  return folders.flatMap(sourceFiles).flatMap((file) => patternsOf(file, built))
}

function sourceFiles(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.[cm]?[jt]s$/.test(name))
    .map((name) => join(folder, name))
}

function patternsOf(file: string, built: Record<string, readonly RegExp[]>): Pattern[] {
  const source = ts.createSourceFile(
    file,
    readFileSync(file, 'utf8'),
    ts.ScriptTarget.Latest,
    true,
    file.endsWith('s') && !file.endsWith('ts') ? ts.ScriptKind.JS : ts.ScriptKind.TS,
  )
  const found: Pattern[] = []
  const add = (node: ts.Node, expressions: readonly RegExp[]) => {
    const { line } = source.getLineAndCharacterOfPosition(node.getStart())
    const isGlobal = expressions.some(({ global }) => global)
    const mode = isGlobal ? 'replace' : calledBy(node) === 'split' ? 'split' : 'exec'
    found.push({ place: `${file}:${line + 1}`, text: node.getText(), expressions, mode })
  }
  const visit = (node: ts.Node) => {
    const dynamic = dynamicText(node)
    if (ts.isRegularExpressionLiteral(node)) add(node, [fromLiteral(node.text)])
    else if (dynamic !== undefined) add(node, built[dynamic] ?? [])
    ts.forEachChild(node, visit)
  }
  visit(source)
  return found
}

/** The text of an expression that makes a regular expression while the program runs. */
function dynamicText(node: ts.Node): string | undefined {
  if (!ts.isNewExpression(node) && !ts.isCallExpression(node)) return undefined
  if (/^(globalThis\.)?RegExp$/.test(node.expression.getText())) return node.getText()
  // a string becomes a regular expression there, too
  if (!ts.isPropertyAccessExpression(node.expression)) return undefined
  if (!/^(match|matchAll|search)$/.test(node.expression.name.text)) return undefined
  const given = node.arguments?.[0]
  return given !== undefined && ts.isStringLiteralLike(given) ? node.getText() : undefined
}

function fromLiteral(text: string): RegExp {
  const end = text.lastIndexOf('/')
  return new RegExp(text.slice(1, end), text.slice(end + 1))
}

function calledBy(node: ts.Node): string | undefined {
  const call = node.parent
  if (!ts.isCallExpression(call) || !ts.isPropertyAccessExpression(call.expression)) return
  return call.arguments[0] === node ? call.expression.name.text : undefined
}
