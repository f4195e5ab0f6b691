import { relative } from 'node:path'
import ts from 'typescript'

/** A place where a name that somebody else may have chosen could reach a prototype. */
export interface Risk {
  readonly file: string
  readonly line: number
  readonly code: string
}

/** Members that every object has without having been given them. */
const INHERITED = new Set(Object.getOwnPropertyNames(Object.prototype))

/** Variables of the process: their names are the operator's, and no target or client adds one. */
const ENVIRONMENT = /(^|\.)(env|dotEnv|variables)$/

/**
 * Compiles source files and finds in them what lets a computed name reach a prototype: members that
 * are read, set or deleted by it, `for…in`, `in`, and `Object.assign`.
 */
export function findRisks(files: readonly string[], folder: string): Risk[] {
  const { config } = ts.readConfigFile('tsconfig.json', ts.sys.readFile)
  const { options } = ts.parseJsonConfigFileContent(config, ts.sys, '.')
  const program = ts.createProgram(files, { ...options, noEmit: true })
  const checker = program.getTypeChecker()

  function isAnyName(node: ts.Expression): boolean {
    const type = checker.getTypeAtLocation(node)
    const { Any, Unknown, String: Text, TemplateLiteral } = ts.TypeFlags
    const kinds = Any | Unknown | Text | TemplateLiteral
    return (type.isUnion() ? type.types : [type]).some(({ flags }) => (flags & kinds) !== 0)
  }

  function isList(node: ts.Expression): boolean {
    const type = checker.getTypeAtLocation(node)
    return checker.isArrayType(type) || checker.isTupleType(type)
  }

  function isRisk(node: ts.Node): boolean {
    if (ts.isForInStatement(node)) return true
    if (ts.isCallExpression(node)) return node.expression.getText() === 'Object.assign'
    if (ts.isBinaryExpression(node) && node.operatorToken.kind === ts.SyntaxKind.InKeyword) {
      return (
        isAnyName(node.left) || (ts.isStringLiteral(node.left) && INHERITED.has(node.left.text))
      )
    }
    if (!ts.isElementAccessExpression(node)) return false
    const { expression, argumentExpression: name } = node
    if (isList(expression) || !isAnyName(name)) return false
    return !(ENVIRONMENT.test(expression.getText()) && !isSet(node))
  }

  const found: Risk[] = []
  for (const source of program.getSourceFiles()) {
    if (!files.includes(source.fileName)) continue
    const visit = (node: ts.Node): void => {
      if (isRisk(node)) {
        const { line } = source.getLineAndCharacterOfPosition(node.getStart())
        const code = node.getText().split('\n', 1)[0] as string
        found.push({ file: relative(folder, source.fileName), line: line + 1, code })
      }
      ts.forEachChild(node, visit)
    }
    visit(source)
  }
  return found
}

function isSet(node: ts.Node): boolean {
  const { parent } = node
  if (ts.isDeleteExpression(parent)) return true
  const { FirstAssignment, LastAssignment } = ts.SyntaxKind
  if (!ts.isBinaryExpression(parent) || parent.left !== node) return false
  const { kind } = parent.operatorToken
  return kind >= FirstAssignment && kind <= LastAssignment
}
