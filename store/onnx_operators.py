"""The operators that a policy from elsewhere may consist of.

None whose output is as large as an observation's values say (Range, Expand, Tile, ConstantOfShape,
Resize, NonZero), none with a graph in it (Loop, If, Scan), none that draws at random; and
`store.onnx_flow` sees to it that no shape depends on an observation. So what one observation takes,
every other one takes too, and the same one gives the same action.
"""

_ARITHMETIC = """
Abs Add And Cast Ceil Clip Cos Div Equal Erf Exp Floor Greater GreaterOrEqual Identity Less
LessOrEqual Log Max Mean Min Mod Mul Neg Not Or Pow Reciprocal Round Sign Sin Sqrt Sub Sum Where
"""
_ACTIVATIONS = """
Celu Elu Gelu HardSigmoid HardSwish LeakyRelu LogSoftmax Mish PRelu Relu Selu Sigmoid Softmax
Softplus Softsign Tanh ThresholdedRelu
"""
_LAYERS = """
AveragePool BatchNormalization Conv Gemm GlobalAveragePool GlobalMaxPool GroupNormalization
InstanceNormalization LayerNormalization LpNormalization MatMul MaxPool RMSNormalization
"""
_QUANTISED = """
ConvInteger DequantizeLinear DynamicQuantizeLinear MatMulInteger QLinearConv QLinearMatMul
QuantizeLinear
"""
_FORMS = """
ArgMax ArgMin Concat Constant Flatten Gather GatherElements ReduceL1 ReduceL2 ReduceLogSumExp
ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare Reshape Shape Slice Split
Squeeze Transpose Unsqueeze
"""

OPERATORS = frozenset(" ".join((_ARITHMETIC, _ACTIVATIONS, _LAYERS, _QUANTISED, _FORMS)).split())
